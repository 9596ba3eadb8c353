package directory

import "time"

// Specification constants of epochs and of a view's life (SPEC.md §13).
const (
	smallNetwork  = 20 // relays below which a network is small
	youngNetwork  = 60 * 24 * time.Hour
	startPhase    = 48 * time.Hour
	startEpoch    = time.Minute
	smallEpoch    = 5 * time.Minute
	labEpoch      = 10 * time.Second
	freshEpochs   = 3
	validAge      = 24 * time.Hour
	staleAge      = 72 * time.Hour
	emergencyAge  = 7 * 24 * time.Hour
	slowClock     = 30 * time.Minute
	slowestClock  = 36 * time.Hour
	fetchFrom     = 3  // quarters of an epoch after FreshUntil
	fetchUntil    = 21 // likewise
	retryInterval = 30 * time.Second
	labRetry      = 3 * time.Second
)

// EpochUnit returns what epoch numbers count: 60 s, in lab networks 10 s.
func EpochUnit(lab bool) time.Duration {
	if lab {
		return labEpoch
	}
	return startEpoch
}

// EpochNumber returns the number of the epoch that begins at t.
func EpochNumber(lab bool, t time.Time) uint64 {
	return uint64(t.Unix()) / uint64(EpochUnit(lab)/time.Second)
}

// EpochTime returns the time at which the epoch of that number begins.
func EpochTime(lab bool, epoch uint64) time.Time {
	return time.Unix(int64(epoch)*int64(EpochUnit(lab)/time.Second), 0)
}

// nextEpochLength returns the length of an epoch that begins at t with n
// listed relays.
func nextEpochLength(c *Chain, t time.Time, n int) time.Duration {
	f := c.Current()
	switch {
	case f.Lab:
		return labEpoch
	case n < smallNetwork && t.Sub(c.Founded()) < startPhase:
		return startEpoch
	case n < smallNetwork:
		return smallEpoch
	}
	return time.Duration(f.Param(ParamEpoch, n)) * time.Second
}

func validEpochLength(e time.Duration, lab bool) bool {
	if lab {
		return e == labEpoch
	}
	r := paramRules[ParamEpoch]
	return e == startEpoch || e == smallEpoch || e >= time.Duration(r.min)*time.Second && e <= time.Duration(r.max)*time.Second
}

// NextEpoch returns when the epoch after prev begins: ValidAfter + NextEpoch,
// or, if that has passed by more than an epoch, the present unit. A nil prev
// asks for the very first epoch, which begins with the present unit.
func NextEpoch(lab bool, prev *Header, now time.Time) time.Time {
	present := EpochTime(lab, EpochNumber(lab, now))
	if prev == nil {
		return present
	}
	next := EpochTime(lab, EpochNumber(lab, prev.ValidAfter.Add(prev.NextEpoch)))
	if next.Add(prev.NextEpoch).Before(now) {
		return present
	}
	return next
}

// State tells what the view may still be used for at the time now.
func (v *View) State(now time.Time) Freshness {
	age := now.Sub(v.validAfter)
	switch {
	case age <= freshEpochs*v.epochLen:
		return Fresh
	case v.byFounders && now.After(v.validUntil):
		return Expired
	case v.byFounders:
		return Valid
	case age <= Scale(v.lab, validAge):
		return Valid
	case age <= Scale(v.lab, staleAge):
		return Stale
	case age <= Scale(v.lab, emergencyAge):
		return Emergency
	}
	return Expired
}

// FetchWindow returns the span in which a client fetches the next snapshot, at
// a time that it draws uniformly, so that clients do not come in swarms.
func (v *View) FetchWindow() (from, until time.Time) {
	fresh := v.validAfter.Add(freshEpochs * v.epochLen)
	return fresh.Add(fetchFrom * v.epochLen / 4), fresh.Add(fetchUntil * v.epochLen / 4)
}

// Ahead returns by how much the header is dated after now, and whether that is
// more than clocks differ by: then, since signers signed it, the clock that says
// now is behind.
func (h *Header) Ahead(now time.Time) (time.Duration, bool) {
	d := h.ValidAfter.Sub(now)
	return d, d > slowClock
}

// RetryInterval is how often, ± 30 %, a client looks for a snapshot while no
// path can be built.
func RetryInterval(lab bool) time.Duration {
	if lab {
		return labRetry
	}
	return retryInterval
}

// String names the state in one word.
func (f Freshness) String() string {
	switch f {
	case Fresh:
		return "fresh"
	case Valid:
		return "valid"
	case Stale:
		return "stale"
	case Emergency:
		return "emergency"
	}
	return "expired"
}
