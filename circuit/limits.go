package circuit

import "time"

// Specification constants (SPEC.md §1, §2, §6 and §7).
const (
	spares     = 3                // clean three-hop circuits kept ready
	spareEvery = 30 * time.Second // between two that are built ahead
	spareMin   = 10 * time.Minute // life of a clean circuit
	spareMax   = 20 * time.Minute

	sendLife      = 10 * time.Minute // from first use, ± 20 %
	sendGrace     = time.Minute      // from Retire to the end
	subscribeMin  = 45 * time.Minute
	subscribeMax  = 75 * time.Minute // relays end any circuit at 80 min
	subscribeRest = 4 * time.Minute  // from Retire to the end

	buildTimeout  = 10 * time.Second // of three hops, on a link that stands
	extendTimeout = 10 * time.Second // of the hop to the destination
	createTimeout = 7 * time.Second
	dialTimeout   = 5 * time.Second
	redialTimeout = 1500 * time.Millisecond // of a guard that was just lost

	maxPending  = 8 // builds at once
	warmPeriod  = 20 * time.Second
	warmBuilds  = 24 // free builds in the warm period of a link
	buildEvery  = time.Second
	maxCircuits = 31 // on one link, of the 32 that a relay takes

	probeAfter  = 2 * time.Second // silence after which the guard is asked
	silentAfter = 5 * time.Second // silence in which an extending hop is given up
	deadAfter   = 7 * time.Second // a PING without PONG: 3 s + 4 ticks

	pingEvery    = 10 * time.Second // one PING to the end of a circuit, in total
	pingMinQuiet = 15 * time.Second // of one circuit between two

	dropMax = 4 // DROPs after a build, at most

	destinationMiddles = 3 // different middles over which a destination is tried
	destinationTries   = 5 // circuits over which it is tried, if fewer middles serve
	guardRefusals      = 3 // CREATEs refused in a row after which a guard has failed

	idleLink = time.Minute // a link to a guard out of use is closed
)

// refreshEvery is how often the selector looks at a view that did not change.
const refreshEvery = time.Minute

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
