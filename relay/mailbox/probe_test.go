package mailbox

import (
	"slices"
	"testing"
	"time"
)

// TestProbeTiming sends to queues that do not exist and to one with a wrong key,
// in turn: who times the answers cannot tell which it was. Others use the
// machine too, so the medians have three tries to be near each other; work
// that one of the two saves would part them in all.
func TestProbeTiming(t *testing.T) {
	const probes = 1500 // of each
	s := startFast(t)
	defer s.shutdown()
	owner := s.peer()
	defer owner.session.Close()
	q := owner.create(KindChat)
	wrong, missing := *q, *q
	wrong.cap[0] ^= 1
	var a, b time.Duration
	for range 3 {
		var took [2][]time.Duration
		var p *peer
		for n := range 2 * probes {
			if n%(FailuresMax-2) == 0 {
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
		if d := max(a, b) - min(a, b); d*20 < min(a, b) {
			return
		}
	}
	t.Errorf("a missing queue takes %v, a wrong key %v", a, b)
}
