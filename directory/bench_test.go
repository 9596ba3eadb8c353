package directory

import (
	"testing"
	"time"
)

func BenchmarkParseDescriptor(b *testing.B) {
	n := newNetwork(b, false, JoinToken)
	raw, err := n.descriptor(1, testTime).Sign(n.id, testKey(nameOf(1)))
	check(b, err)
	rules := n.chain.Rules()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseDescriptor(rules, raw, testTime); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifySnapshot(b *testing.B) {
	for _, relays := range []int{8, 500} {
		b.Run(map[int]string{8: "8relays", 500: "500relays"}[relays], func(b *testing.B) {
			n := newNetwork(b, false, JoinToken)
			list := n.candidates(relays, testTime)
			for i := range list {
				list[i].Record.Descriptor.Admission = tokenNumber(b, n, i).Admission(n.id, list[i].Record.ID)
			}
			raw := n.publish(testTime, list)
			p, err := n.log.Prove(1, 1, 0)
			check(b, err)
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			for b.Loop() {
				s, err := ParseSnapshot(raw)
				check(b, err)
				v, _, err := n.chain.Verify(s, n.chain.InitialState(), p, testTime)
				check(b, err)
				if len(v.Relays()) != relays {
					b.Fatal(len(v.Relays()))
				}
			}
		})
	}
}

func tokenNumber(b *testing.B, n *network, i int) Invitation {
	t, err := IssueToken(n.id, n.signer, [32]byte{byte(i >> 8), byte(i)}, testTime.Add(time.Hour), 1)
	check(b, err)
	return t
}

// BenchmarkWork is one try of a proof of work, which is also what verifying costs.
func BenchmarkWork(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		WorkBits([32]byte{1}, []byte{2})
	}
}
