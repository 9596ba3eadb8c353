package circuit

import "time"

// Specification constants (SPEC.md §1, §2, §6 and §7).
const (
	spares     = 3                // clean three-hop circuits kept ready
	sparesMost = 6                // when many are used
	spareEvery = 30 * time.Second // between two that are built ahead
	spareMin   = 10 * time.Minute // life of a clean circuit
	spareMax   = 20 * time.Minute

	sendLife      = 10 * time.Minute // from first use, ± 20 %
	sendGrace     = time.Minute      // from Retire to the end
	subscribeMin  = 45 * time.Minute
	subscribeMax  = 75 * time.Minute // relays end any circuit at 80 min
	subscribeRest = 4 * time.Minute  // from Retire to the end

	// Ticks are added on a shaped link.
	extendTimeout = 10 * time.Second // of the hop to the destination, and 4 ticks
	createTimeout = 7 * time.Second  // and 4 ticks
	dialTimeout   = 5 * time.Second
	lostTimeout   = 1500 * time.Millisecond // dialing a guard whose link was just lost

	maxPending = 8 // builds at once
	maxTasks   = 16

	// On a shaped link, extensions included.
	shapedPending     = 2
	shapedWarmPending = 4
	shapedWarmEnd     = 4 * time.Second // before the end of the fast ticks
	slackTicks        = 8               // more to wait for a hop
	warmPeriod        = 20 * time.Second
	warmBuilds        = 24 // free builds in the warm period of a link
	warmBurst         = 6  // warm periods, and then one every so often
	warmEvery         = 2 * time.Minute
	buildEvery        = time.Second
	maxCircuits       = 31 // on one link, of the 32 that a relay takes
	maxUsed           = 24 // with a purpose

	// Another build beside one that is slow, within a bucket of its own.
	hedgeBase  = time.Second
	hedgeMost  = 2 // tasks for one caller at once
	hedgeBurst = 4
	hedgeEvery = 20 * time.Second

	// Circuits built to learn how long that takes.
	testEvery = 10 * time.Second
	testMost  = 100 // in one run

	probeAfter  = 2 * time.Second         // silence after which all hops are asked
	probeLeast  = time.Second             // sooner, if a round trip is much shorter
	traceWait   = 500 * time.Millisecond  // a hop behind one that answered may take longer by that
	lastWait    = 1500 * time.Millisecond // and the destination by this, until it is given up
	suspectFor  = 30 * time.Second        // a relay is avoided after it seemed dead
	silentAfter = 5 * time.Second         // silence in which an extending hop is given up

	deadBase  = 3 * time.Second // an answer that is missing so long, and 4 ticks
	deadTicks = 4

	crowdTicks = 4  // more on a shaped link, for each build under way
	deafTicks  = 20 // without any cell of a circuit, on a shaped link

	guardSilent      = 12 * time.Second // a link that brings nothing so long, or 6 ticks
	guardSilentTicks = 6
	pingWait         = 2 * time.Second // and this much after something was sent

	unheardPackets = 4               // sent without an answer, for silence to mean anything
	redialProbes   = 7               // 3 probe timeouts with their back-off: 1 + 2 + 4
	redialLoss     = 10              // times the share of lost packets longer
	redialMin      = time.Second     // silence after which a guard is dialed beside its link
	redialTimeout  = 3 * time.Second // of that
	redialEvery    = 10 * time.Second
	addressEvery   = 2 * time.Second // looks at the own address
	changeBurst    = 4               // changes of it that count at once, and then one every so often
	changeEvery    = time.Minute
	sleepAtLeast   = 30 * time.Second // of the computer, to dial anew after it

	pingTicks    = 10               // for each PING to the end of a circuit, in total
	pingTokens   = 2                // of them at once
	pingSpread   = 0.2              // of a PING more that one counts, at random
	pingMinQuiet = 15 * time.Second // of one circuit between two
	pingMaxQuiet = 15 * time.Minute
	pingHeard    = 5 * time.Second // after something came on it

	budgetMinutes = 10 // of ticks, of which builds and PINGs have shares in percent
	buildShare    = 30
	pingShare     = 10
	patientShare  = 66 // of the ticks for builds, for requests that can wait
	spareShare    = 50 // and for clean circuits

	dropMax = 4 // DROPs after a build, at most

	destinationMiddles = 3 // different middles over which a destination is tried
	destinationTries   = 5 // circuits over which it is tried, if fewer middles serve
	guardRefusals      = 3 // CREATEs refused in a row after which a guard has failed

	idleLink    = time.Minute // a link to a guard out of use is closed
	suspectLink = time.Minute // and one to a guard that fell silent
)

// untaught is the build timeout at which the estimate of path does not stand
// yet: it keeps to a floor of 10 s until then.
const untaught = 10 * time.Second

// pathHops are the hops before the destination.
const pathHops = 3

// pathDraws is how often a path is drawn to find one without relays that seem
// dead.
const pathDraws = 8

// traceEvery is how often Run looks for the answers of a trace.
const traceEvery = 100 * time.Millisecond

// refreshEvery is how often the selector looks at a view that did not change.
const refreshEvery = time.Minute

// waitsTold is how long people are told why a destination could not be reached:
// longer than messengers rest between two tries.
const waitsTold = 2 * time.Minute

// retrySave is when guards that could not be saved are written again.
const retrySave = time.Minute

// labFaster divides the waits of a lab network.
const labFaster = 10

func (p *Pool) wait(d time.Duration) time.Duration {
	if p.cfg.Lab {
		return d / labFaster
	}
	return d
}
