package mailbox

import (
	"math"
	"slices"
	"testing"
	"time"
)

// TestProbeTiming sends to queues that do not exist and to one with a wrong key,
// in turn: who times the answers cannot tell which it was. Others use the
// machine too, so there are three tries for medians that are near each other, or
// times that scatter too much to tell; work that one of the two saves would part
// them in all.
func TestProbeTiming(t *testing.T) {
	const probes = 1500 // of each
	// An odd number of probes over each session: the first one takes longer, and is of
	// either kind as often.
	const session = FailuresMax - 3
	s := startFast(t)
	defer s.shutdown()
	owner := s.peer()
	defer owner.session.Close()
	q := owner.create(KindChat)
	wrong := *q
	wrong.cap[0] ^= 1
	var a, b time.Duration
	for range 3 {
		missing := *q // after 256 in each place it would be itself again
		var took [2][]time.Duration
		var p *peer
		for n := range 2 * probes {
			if n%session == 0 {
				if p != nil {
					p.session.Close()
				}
				p = s.peer()
			}
			probe := &wrong
			if n%2 == 0 {
				probe = &missing
				probe.sid[n%24]++
			}
			data := p.sendCommand(probe, n)
			start := time.Now()
			p.must(CmdSend, data)
			p.wantErr(CmdSend, CodeAuth)
			took[n%2] = append(took[n%2], time.Since(start))
		}
		p.session.Close()
		slices.Sort(took[0])
		slices.Sort(took[1])
		a, b = took[0][probes/2], took[1][probes/2]
		if d := max(a, b) - min(a, b); d*20 < min(a, b) || math.Abs(ranks(took[0], took[1])) < 5 {
			return
		}
	}
	t.Errorf("a missing queue takes %v, a wrong key %v", a, b)
}

// ranks compares two sorted samples by the sum of their ranks, and returns by how
// many standard deviations the first one lies above the second.
func ranks(a, b []time.Duration) float64 {
	var above float64
	for _, d := range a {
		below, _ := slices.BinarySearch(b, d)
		upto, _ := slices.BinarySearch(b, d+1)
		above += float64(below+upto) / 2
	}
	n, m := float64(len(a)), float64(len(b))
	return (above - n*m/2) / math.Sqrt(n*m*(n+m+1)/12)
}
