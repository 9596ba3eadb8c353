package gossip

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"hearsay/directory"
)

// Implementation constants.
const (
	rumourDelay   = 2 * time.Second // accepted records wait up to so long for company
	secondAsk     = time.Second     // then the next announcer of a record is asked
	giveFrameSize = 32 << 10        // records are written in messages of about this size
	maxTold       = 256             // announcements of a peer that are remembered
	maxAsked      = 6               // announcers of one record are asked
)

var (
	errBye      = errors.New("gossip: the peer said goodbye")
	errRefused  = errors.New("gossip: the peer is refused for a while")
	errSequence = errors.New("gossip: message out of sequence")
)

// session is one gossip stream, from either side. The goroutine in run reads,
// a second one writes. What the reader has to say goes into bounded queues, and
// the writer asks the store for record bodies only when it can write them, so
// that neither waits for the other and a slow peer costs little memory.
type session struct {
	n      *Node
	peer   directory.RelayID
	s      Stream
	opener bool
	once   bool // the opener says goodbye after one reconciliation
	since  time.Time
	// network is that from which an inbound stream came, if it is known.
	network netip.Prefix

	// Owned by the reader.
	greeted   bool
	theirs    hello
	rounds    int // RANGES messages taken
	comparing bool
	refused   int // records of the peer that did not verify
	wanted    map[key]bool
	disputed  int // own items in ranges that differ, and items that the peer's lists have besides
	parts     int // bytes that are counted of the message being read

	mu      sync.Mutex
	queue   [][]byte // encoded messages, ≤ maxQueue; overflow ends the stream
	owed    []key    // records to give, ≤ maxOwed; what is above is dropped: the peer asks again
	owes    map[key]bool
	known   bool          // when it last asked for records
	rumours []have        // ≤ maxHave; what is above is dropped: reconciliation finds it
	due     time.Time     // when rumours are to be written
	told    map[have]bool // what the peer announced itself, ≤ maxTold, then forgotten
	later   []have        // to be asked here if the first announcer fails, ≤ maxHave
	askAt   *time.Timer
	bye     []byte // written last
	ended   bool
	wake    chan struct{} // capacity 1: a wake-up that is pending is enough
	watch   *time.Timer   // runs while a frame is being read
	stall   *time.Timer   // runs while a frame is being written
	board   boardSide
}

func newSession(n *Node, peer directory.RelayID, s Stream, opener, once bool) *session {
	ss := &session{
		n: n, peer: peer, s: s, opener: opener, once: once, since: time.Now(),
		wanted: make(map[key]bool), owes: make(map[key]bool), told: make(map[have]bool),
		wake: make(chan struct{}, 1),
	}
	ss.network, _ = networkOf(s)
	ss.send(TypeHello, n.hello().append(nil))
	return ss
}

// run serves the stream until it ends, and closes it.
func (ss *session) run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, ss.unblock)
	ss.watch = time.AfterFunc(frameTimeout, ss.unblock)
	ss.stall = time.AfterFunc(frameTimeout, ss.unblock)
	ss.stall.Stop()

	written := make(chan struct{})
	go func() {
		defer close(written)
		ss.write(ctx)
		ss.unblock()
	}()
	err := ss.read()
	if !errors.Is(err, errBye) && !errors.Is(err, io.EOF) {
		ss.end(byeFor(err), 0)
	} else {
		ss.abandon()
	}
	<-written
	ss.stopBoard()
	stop()
	ss.watch.Stop()
	ss.stall.Stop()
	ss.mu.Lock()
	if ss.askAt != nil {
		ss.askAt.Stop()
	}
	ss.mu.Unlock()
	_ = ss.s.Close()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// unblock makes Read and Write return.
func (ss *session) unblock() { _ = ss.s.SetDeadline(time.Unix(1, 0)) }

func byeFor(err error) ByeCode {
	switch {
	case errors.Is(err, errOtherNetwork):
		return ByeNetwork
	case errors.Is(err, errRefused):
		return ByeRefused
	case errors.Is(err, errParts):
		return ByeBusy
	}
	return ByeProtocol
}

// read takes messages until the stream ends.
func (ss *session) read() error {
	r := frameReader{
		r:       ss.s,
		allow:   ss.allowed,
		started: func() { ss.watch.Reset(frameTimeout) },
		done:    ss.rest,
		further: ss.takePart,
	}
	defer ss.giveParts()
	for {
		m, err := r.next()
		if err != nil {
			return err
		}
		if err := ss.handle(m); err != nil {
			return err
		}
		ss.giveParts()
	}
}

// rest ends the time that the peer has for a frame. One who was asked to
// reconcile has the same time again until it says more, so that silent peers
// cost ten seconds and not the whole time of a reconciliation.
func (ss *session) rest() {
	if ss.once && ss.opener {
		ss.watch.Reset(frameTimeout)
	} else {
		ss.watch.Stop()
	}
}

func (ss *session) allowed(t Type) bool {
	switch t {
	case TypeHello, TypeBye:
		return true
	case TypeRanges, TypeWant, TypeGive, TypeHave, TypeVerdict,
		TypeEvidence, TypeSuccessor, TypeVote, TypeEcho, TypeCosign, TypeBoard, TypeWitness:
		return ss.greeted
	}
	return false
}

// handle takes one message (SPEC.md §3.3).
func (ss *session) handle(m message) error {
	if !ss.greeted && m.typ != TypeHello && m.typ != TypeBye {
		return errSequence
	}
	switch m.typ {
	case TypeHello:
		return ss.onHello(m.body)
	case TypeRanges:
		return ss.onRanges(m.body)
	case TypeWant:
		return ss.onWant(m.body)
	case TypeGive:
		return ss.onGive(m.body)
	case TypeHave:
		return ss.onHave(m.body)
	case TypeVerdict:
		return ss.onVerdict(m.body)
	case TypeEvidence:
		return ss.onEvidence(m.body)
	case TypeSuccessor:
		return ss.onSuccessor(m.body)
	case TypeVote, TypeEcho, TypeCosign:
		return ss.onSignerMessage(m)
	case TypeBoard:
		return ss.onBoard(m.body)
	case TypeWitness:
		return ss.onWitness(m.body)
	case TypeBye:
		code, retry, err := parseBye(m.body)
		if err != nil {
			return err
		}
		return &byeError{code: code, retry: retry}
	}
	return errType
}

// byeError is how a stream ends that the peer ended.
type byeError struct {
	code  ByeCode
	retry time.Duration
}

func (e *byeError) Error() string {
	return fmt.Sprintf("gossip: the peer said goodbye with code %d", e.code)
}
func (e *byeError) Is(target error) bool { return target == errBye }

func (ss *session) onHello(body []byte) error {
	h, err := parseHello(body)
	if err != nil {
		return err
	}
	if h.network != ss.n.network {
		return errOtherNetwork
	}
	first := !ss.greeted
	ss.greeted, ss.theirs = true, h
	ss.n.heard(ss.peer, h)
	if first {
		ss.repeatVerdict()
		ss.offerNotices()
		ss.offerBoard()
	}
	if !first || !ss.opener {
		return nil
	}
	items, print := ss.n.store.set()
	if print == h.fingerprint {
		ss.settle()
		return nil
	}
	ss.comparing = true
	ss.send(TypeRanges, appendRanges(nil, openRanges(items)))
	return nil
}

func (ss *session) onRanges(body []byte) error {
	in, err := parseRanges(body)
	if err != nil {
		return err
	}
	if ss.rounds++; ss.rounds > maxRounds || ss.opener && !ss.comparing {
		return fmt.Errorf("%w: too many rounds", errSequence)
	}
	if len(in) == 1 && in[0].mode == modeSkip {
		ss.comparing = false
		ss.settle()
		return nil
	}
	items, _ := ss.n.store.set()
	o := answerRanges(items, in)
	ss.disputed += len(o.want)
	for _, r := range o.reply {
		ss.disputed += len(r.list)
	}
	ss.want(o.want)
	ss.owe(o.give)
	if !o.done || !ss.opener {
		ss.send(TypeRanges, appendRanges(nil, o.reply))
	}
	if o.done {
		ss.comparing = false
	}
	ss.settle()
	return nil
}

// settle ends a stream for one reconciliation once nothing is missing.
func (ss *session) settle() {
	if ss.once && ss.opener && !ss.comparing && len(ss.wanted) <= ss.refused {
		ss.end(ByeDone, 0)
	}
}

func (ss *session) onWant(body []byte) error {
	keys, err := parseWant(body)
	if err != nil {
		return err
	}
	ss.owe(keys)
	return nil
}

func (ss *session) onGive(body []byte) error {
	records, err := parseGive(body)
	if err != nil {
		return err
	}
	var verdicts []byte
	for _, raw := range records {
		r, code, err := ss.n.take(ss, raw)
		if errors.Is(err, errRefused) {
			return err
		}
		if r != nil {
			k := key(directory.GossipKey(ss.n.network, r.ID))
			delete(ss.wanted, k)
			delete(ss.wanted, k.short().wildcard())
		} else {
			ss.refused++
		}
		if ss.n.isOf(raw, r, ss.peer) && len(verdicts) < verdictSize*maxVerdict {
			verdicts = verdict{key: key(directory.GossipKey(ss.n.network, ss.peer)), code: code}.append(verdicts)
		}
	}
	if len(verdicts) > 0 {
		ss.send(TypeVerdict, verdicts)
	}
	ss.settle()
	return nil
}

func (ss *session) onHave(body []byte) error {
	haves, err := parseHave(body)
	if err != nil {
		return err
	}
	ss.hear(haves)
	now := time.Now()
	_, known := ss.n.peer(ss.peer)
	var ask []key
	for _, h := range haves {
		if !ss.n.store.lacks(h) {
			continue
		}
		if !ss.n.limits.rumour(ss.peer, known, now) {
			break // reconciliation finds the others
		}
		if ok, again := ss.n.claim(h, now); ok {
			ask = append(ask, h.key.wildcard())
		} else if again {
			ss.askLater(h)
		}
	}
	ss.want(ask)
	return nil
}

func (ss *session) onVerdict(body []byte) error {
	vs, err := parseVerdict(body)
	if err != nil {
		return err
	}
	own := key(directory.GossipKey(ss.n.network, ss.n.cfg.Self))
	for _, v := range vs {
		if v.key == own {
			ss.n.judged(ss.peer, v.code)
		}
	}
	return nil
}

// want asks the peer for records.
func (ss *session) want(keys []key) {
	for len(keys) > 0 {
		part := keys[:min(len(keys), maxWant)]
		keys = keys[len(part):]
		for _, k := range part {
			if len(ss.wanted) < maxOwed {
				ss.wanted[k] = true
			}
		}
		ss.send(TypeWant, appendWant(nil, part))
	}
}

// askLater asks this peer too, if the first announcer has not given by then.
func (ss *session) askLater(h have) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if len(ss.later) >= maxHave || ss.ended {
		return
	}
	ss.later = append(ss.later, h)
	if len(ss.later) == 1 {
		ss.askAt = time.AfterFunc(secondAsk, ss.askNow)
	}
}

// askNow asks for what is still lacking. What another announcer was asked for
// less than a second ago waits for its turn again.
func (ss *session) askNow() {
	ss.mu.Lock()
	later := ss.later
	ss.later = nil
	ss.mu.Unlock()
	now := time.Now()
	var ask []key
	for _, h := range later {
		if !ss.n.store.lacks(h) {
			continue
		}
		if ok, again := ss.n.claim(h, now); ok {
			ask = append(ask, h.key.wildcard())
		} else if again {
			ss.askLater(h)
		}
	}
	if len(ask) > 0 {
		ss.send(TypeWant, appendWant(nil, ask))
	}
}

// owe queues records to give, each once.
func (ss *session) owe(keys []key) {
	known := ss.n.Known(ss.peer)
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ss.known = known
	for _, k := range keys {
		if len(ss.owed) < maxOwed && !ss.owes[k] {
			ss.owes[k] = true
			ss.owed = append(ss.owed, k)
		}
	}
	ss.wakeLocked()
}

// hear notes what the peer announced: it need not be told the same.
func (ss *session) hear(haves []have) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	for _, h := range haves {
		if len(ss.told) >= maxTold {
			clear(ss.told)
		}
		ss.told[h] = true
	}
	ss.rumours = slices.DeleteFunc(ss.rumours, func(h have) bool { return ss.told[h] })
}

// rumour queues the announcement of a record, to be written within delay.
func (ss *session) rumour(h have, delay time.Duration) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if len(ss.rumours) >= maxHave || ss.told[h] {
		return
	}
	at := time.Now().Add(delay)
	if len(ss.rumours) == 0 || at.Before(ss.due) {
		ss.due = at
	}
	ss.rumours = append(ss.rumours, h)
	ss.wakeLocked()
}

// send queues a message. A peer that lets too many pile up loses the stream.
func (ss *session) send(t Type, body []byte) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if ss.ended {
		return
	}
	if len(ss.queue) >= maxQueue {
		ss.ended, ss.bye, ss.queue, ss.owed = true, nil, nil, nil
	} else {
		ss.queue = append(ss.queue, appendMessage(nil, t, body))
	}
	ss.wakeLocked()
}

// end says goodbye. After a fault nothing else is written any more.
func (ss *session) end(code ByeCode, retry time.Duration) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if ss.ended {
		return
	}
	ss.ended = true
	ss.bye = appendMessage(nil, TypeBye, appendBye(nil, code, retry))
	if code != ByeDone {
		ss.queue, ss.owed, ss.rumours = nil, nil, nil
	}
	ss.wakeLocked()
}

// abandon ends the stream without a word.
func (ss *session) abandon() {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ss.ended, ss.bye, ss.queue, ss.owed, ss.rumours = true, nil, nil, nil, nil
	ss.wakeLocked()
}

func (ss *session) wakeLocked() {
	select {
	case ss.wake <- struct{}{}:
	default:
	}
}

// write writes what is queued until the session ended or a write fails.
func (ss *session) write(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		b, wait, ok := ss.next(time.Now())
		if !ok {
			return
		}
		if b != nil {
			ss.stall.Reset(frameTimeout)
			_, err := ss.s.Write(b)
			ss.stall.Stop()
			if err != nil {
				return
			}
			if ss.once && ss.opener {
				ss.watch.Reset(frameTimeout)
			}
			continue
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return
		case <-ss.wake:
		case <-timer.C:
		}
	}
}

// next returns what to write now, or how long to wait, or that nothing follows.
func (ss *session) next(now time.Time) (b []byte, wait time.Duration, ok bool) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if ss.partLocked() { // nothing may come between its frames, not even a goodbye
		if ss.ended {
			return nil, 0, false
		}
		return ss.boardLocked(), 0, true
	}
	// Records go before the RANGES that were answered with them: whoever has
	// the last RANGES has all, and may say goodbye.
	if len(ss.queue) > 0 && Type(ss.queue[0][0]) != TypeRanges {
		b, ss.queue = ss.queue[0], ss.queue[1:]
		return b, 0, true
	}
	if b := ss.boardTurnLocked(); b != nil {
		return b, 0, true
	}
	if len(ss.owed) > 0 {
		if b := ss.giveLocked(now); b != nil {
			return b, 0, true
		}
	}
	if len(ss.queue) > 0 {
		b, ss.queue = ss.queue[0], ss.queue[1:]
		return b, 0, true
	}
	if ss.ended {
		b, ss.bye = ss.bye, nil
		return b, 0, b != nil
	}
	if len(ss.rumours) == 0 {
		return nil, time.Hour, true
	}
	if wait := ss.due.Sub(now); wait > 0 {
		return nil, wait, true
	}
	var body []byte
	for _, h := range ss.rumours {
		body = h.append(body)
	}
	ss.rumours = nil
	return appendMessage(nil, TypeHave, body), 0, true
}

// giveLocked returns one GIVE with the next records owed, nil if none is held
// any more or the peer has had its share.
func (ss *session) giveLocked(now time.Time) []byte {
	var body []byte
	for len(ss.owed) > 0 && len(body) < giveFrameSize {
		k := ss.owed[0]
		ss.owed = ss.owed[1:]
		delete(ss.owes, k)
		for _, r := range ss.n.store.bodies(k) {
			if len(body)+2+len(r.Raw) <= maxFrameBody && ss.n.limits.give(ss.peer, ss.known, len(r.Raw), now) {
				body = appendGive(body, r.Raw)
			}
		}
	}
	if body == nil {
		return nil
	}
	return appendMessage(nil, TypeGive, body)
}

func randomDelay(d time.Duration) time.Duration { return rand.N(d + 1) }
