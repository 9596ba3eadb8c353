package chat

import (
	"math/rand/v2"
	"time"
)

// timing holds the timers of delivery (SPEC.md §7). Lab networks run most of
// them ten times as fast; block lifetimes, a sixtieth.
type timing struct {
	secondCopy  time.Duration // the second copy waits 0 to this
	gapHold     time.Duration // later messages wait so long for a missing one
	listGap     time.Duration // a gap older than this polls the second queue
	pollMin     time.Duration // between two polls of a queue, uniform
	pollMax     time.Duration
	ackMin      time.Duration // a pure acknowledgement waits, uniform
	ackMax      time.Duration
	ackGap      time.Duration // between two pure acknowledgements
	hedge       time.Duration // no OK: the same SEND over another circuit
	hedgeMore   time.Duration // still no OK: this queue rests
	retryMin    time.Duration // back-off of an unreachable queue
	retryMax    time.Duration
	steady      time.Duration // a subscription that stood so long is replaced at once, and the back-off begins anew
	quotaMin    time.Duration // back-off of a full queue
	quotaMax    time.Duration
	claimWait   time.Duration    // an invite relay may be unreachable so long
	repeats     [3]time.Duration // a request is sent again so long after the first time
	reseal      time.Duration    // dropped by both relays: seal anew after
	resealGap   time.Duration
	expire      time.Duration // unacknowledged: failed
	oldKeep     time.Duration // invite queues are read on after the guest left them
	parkKeep    time.Duration // blocks that no key opens
	idleSend    time.Duration // a sending stream stays open without work
	renewMin    time.Duration // a subscription moves to another circuit, uniform
	renewMax    time.Duration
	queueFollow time.Duration // a contact's new queue in a slot is followed so often, after a burst
	maintain    time.Duration // between two looks at what is due without an event
	openMail    time.Duration // one try to reach a mailbox relay; not scaled
	makeInvite  time.Duration // to make an invite; not scaled
	lifeMin     time.Duration // a queue moves after, uniform
	lifeMax     time.Duration
	moveApart   time.Duration    // between planned moves of two queues of a contact
	moveFail    time.Duration    // a queue that cannot be read three times within this moves,
	moveSpan    time.Duration    // if that goes on for this
	day         time.Duration    // a day of the lifetimes of queues
	avoidFor    time.Duration    // a relay that lost blocks gets no queue
	delWait     time.Duration    // a queue without use is deleted within
	repeatSoon  time.Duration    // a frame that no relay signed for is repeated after, then four times as long
	repeatLate  [3]time.Duration // one that some relay signed for, so long after it was sealed
	takenOver   time.Duration    // a queue that the relay says was opened elsewhere is left alone
}

// Specification constants (SPEC.md §7).
const (
	earlyBlocks   = 8           // ratchet blocks sealed before the inviter answered
	secondSteps   = 16          // second copies go out on sixteenths of their longest wait, those to one queue that are near together at once
	seenLimit     = 4096        // hashes of received inner blocks, per contact
	freshText     = time.Minute // a text's circuit has precedence while it is so young
	pollBlocks    = 200         // blocks out of the first queue after which the second is polled: it holds 512
	parkedLimit   = 64          // blocks that no key opens, per contact
	queueBurst    = 4           // new queues of a contact followed at once, per slot
	repeatLimit   = 6           // automatic repeats of one frame to one queue, those sealed anew included
	standingLimit = 14          // push subscriptions
	otherLimit    = 10          // senders and polls at once
	moveFailures  = 3           // of reading a queue, after which it moves
	pollCells     = 11          // cells of a poll with its circuit
	pollShare     = 4           // polls take at most this part of the ticks
	inviteLife    = 7 * 24 * time.Hour
)

func timingOf(lab bool) timing {
	t := timing{
		secondCopy:  8 * time.Second,
		gapHold:     9 * time.Second,
		listGap:     30 * time.Second,
		pollMin:     10 * time.Minute,
		pollMax:     20 * time.Minute,
		ackMin:      2 * time.Second,
		ackMax:      30 * time.Second,
		ackGap:      10 * time.Second,
		hedge:       3 * time.Second,
		hedgeMore:   10 * time.Second,
		retryMin:    2 * time.Second,
		retryMax:    60 * time.Second,
		steady:      time.Minute,
		quotaMin:    time.Minute,
		quotaMax:    6 * time.Hour,
		claimWait:   10 * time.Minute,
		repeats:     [3]time.Duration{time.Hour, 6 * time.Hour, 24 * time.Hour},
		reseal:      5 * time.Minute,
		resealGap:   10 * time.Minute,
		expire:      21 * 24 * time.Hour,
		oldKeep:     24 * time.Hour,
		parkKeep:    7 * 24 * time.Hour,
		idleSend:    10 * time.Minute,
		renewMin:    45 * time.Minute,
		renewMax:    75 * time.Minute,
		queueFollow: time.Hour,
		maintain:    time.Minute,
		openMail:    20 * time.Second,
		makeInvite:  30 * time.Second,
		lifeMin:     24 * time.Hour,
		lifeMax:     72 * time.Hour,
		moveApart:   time.Hour,
		moveFail:    10 * time.Minute,
		moveSpan:    time.Minute,
		day:         24 * time.Hour,
		avoidFor:    30 * 24 * time.Hour,
		delWait:     10 * time.Minute,
		repeatSoon:  2 * time.Second,
		repeatLate:  [3]time.Duration{24 * time.Hour, 72 * time.Hour, 7 * 24 * time.Hour},
		takenOver:   10 * time.Minute,
	}
	if !lab {
		return t
	}
	for _, d := range []*time.Duration{
		&t.secondCopy, &t.listGap, &t.pollMin, &t.pollMax, &t.ackMin, &t.ackMax, &t.ackGap,
		&t.hedgeMore, &t.retryMin, &t.retryMax, &t.steady, &t.quotaMin, &t.quotaMax, &t.claimWait,
		&t.repeats[0], &t.repeats[1], &t.repeats[2], &t.reseal, &t.resealGap, &t.parkKeep,
		&t.maintain, &t.queueFollow, &t.idleSend, &t.renewMin, &t.renewMax,
		&t.moveFail, &t.moveSpan, &t.delWait, &t.takenOver, &t.repeatSoon,
	} {
		*d /= 10
	}
	for _, d := range []*time.Duration{&t.expire, &t.oldKeep, &t.lifeMin, &t.lifeMax, &t.moveApart, &t.day, &t.avoidFor, &t.repeatLate[0], &t.repeatLate[1], &t.repeatLate[2]} {
		*d /= 60
	}
	// Floors: building a circuit does not run faster in a lab.
	t.gapHold = 3 * time.Second
	t.hedge = time.Second
	t.hedgeMore = 3 * time.Second
	return t
}

// between draws uniformly from [low, high).
func between(low, high time.Duration) time.Duration {
	if high <= low {
		return low
	}
	return low + rand.N(high-low)
}

// backoff returns the wait after n failures in a row: it doubles from low to
// high, and the second half of it is random.
func backoff(n int, low, high time.Duration) time.Duration {
	d := high
	if n < 20 && low<<max(0, n-1) < high {
		d = low << max(0, n-1)
	}
	return between(d/2, d)
}
