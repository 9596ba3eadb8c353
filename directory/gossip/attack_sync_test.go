package gossip

import (
	"testing"
	"time"
)

// TestAttackEndlessFullSync: a listed relay that claims more records than this
// node will ever hold gives one set an hour, and for one minute of it; then its
// records have the rates of everybody.
func TestAttackEndlessFullSync(t *testing.T) {
	const size = 500
	start := time.Unix(1_800_000_000, 0)
	liar := idOf("liar")
	give := func(l *limits, at time.Time, most int) (taken int) {
		for range most {
			if l.record(liar, size, 0, storeCeiling, at) {
				taken++
			}
		}
		return taken
	}
	byRate := min(recordBurst, peerByteRate/size)
	whole := fullSyncBytes / size

	l := newLimits(false)
	if got := give(l, start, 2*whole); got != whole+byRate {
		t.Errorf("%d records at once, at most %d", got, whole+byRate)
	}
	if got := give(l, start.Add(fullSyncPeriod-time.Second), whole); got > byRate {
		t.Errorf("%d records within the hour", got)
	}
	if got := give(l, start.Add(fullSyncPeriod), whole); got != whole {
		t.Errorf("%d records in the next hour", got)
	}

	l = newLimits(false)
	give(l, start, 100)
	if got := give(l, start.Add(reconcileTimeout), whole); got > byRate {
		t.Errorf("%d records of a set that was begun a minute ago", got)
	}
}
