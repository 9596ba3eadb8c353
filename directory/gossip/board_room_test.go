package gossip

import "testing"

// TestEarlierEpochsGiveWayOnTheBoard: a signer that has said all it may for earlier
// epochs is heard when it speaks for a later one, and not the other way round.
func TestEarlierEpochsGiveWayOnTheBoard(t *testing.T) {
	inBubble(t, func(t *testing.T, f *founder, m *mesh) {
		n := m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
		for e := -2; e <= 1; e++ {
			for i := range 16 {
				n.Post(f.echoOf(0, epochIn(e), byte(i), byte(i)))
			}
		}
		late := f.voteOf(0, epochIn(2), 1, 10)
		n.Post(late)
		n.Post(f.voteOf(0, epochIn(-2), 1, 10)) // too late
		count := make(map[uint64]int)
		list, _ := n.Messages()
		heard := false
		for _, s := range list {
			count[s.Epoch()]++
			heard = heard || s.Hash() == late.Hash()
		}
		if !heard || len(list) != boardMessages || count[epochIn(-2)] != 15 || count[epochIn(1)] != 16 {
			t.Errorf("heard %v, %d messages, by epoch %v", heard, len(list), count)
		}
	})
}
