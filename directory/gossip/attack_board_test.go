package gossip

import (
	"crypto/sha256"
	"encoding/binary"
	"io"
	"testing"
)

// TestAttackMadeUpBoardIDs: a stranger announces thousands of signers' messages that
// do not exist, again and again. What a bootstrap announces is asked for at once, or
// signers that reach each other through it alone would not agree.
func TestAttackMadeUpBoardIDs(t *testing.T) {
	inBubble(t, func(t *testing.T, f *founder, m *mesh) {
		n := m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
		made := uint64(0)
		for range 4 {
			stranger := talk(t, n, "stranger", RoleDirectory)
			go func() { _, _ = io.Copy(io.Discard, stranger.Conn) }()
			for range 2 * maxBoardWaste / maxBoardIDs {
				var ids []boardID
				for range maxBoardIDs {
					made++
					ids = append(ids, sha256.Sum256(binary.BigEndian.AppendUint64(nil, made)))
				}
				stranger.send(TypeBoard, appendBoard(nil, boardHave, ids))
			}
			k := talk(t, n, "bootstrap 1", RoleRelay)
			v := f.voteOf(1, epochIn(2), 0, 100)
			id := boardID(sha256.Sum256(v.Raw()))
			k.send(TypeBoard, appendBoard(nil, boardHave, []boardID{id}))
			asked := false
			for _, msg := range k.hear() {
				if msg.typ != TypeBoard {
					continue
				}
				mode, ids, err := parseBoard(msg.body)
				check(t, err)
				asked = asked || mode == boardWant && len(ids) == 1 && ids[0] == id
			}
			if !asked {
				t.Errorf("what a bootstrap announces is not asked for, after %d announcements of a stranger", made)
			}
			k.close()
			stranger.close()
		}
		if got := len(n.board.asked); got > maxBoardWaste {
			t.Errorf("%d announcements remembered", got)
		}
	})
}

// TestAttackCarrierTakenForKnown: a stranger who carries a signer's message from one
// bootstrap to another is not taken for a node that needs no quota.
func TestAttackCarrierTakenForKnown(t *testing.T) {
	inBubble(t, func(t *testing.T, f *founder, m *mesh) {
		n := m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
		k := talk(t, n, "stranger", RoleDirectory)
		v := f.voteOf(1, epochIn(2), 0, 100)
		k.send(TypeVote, v.Raw())
		k.hear()
		if !holds(n, v) || !n.needs(idOf("stranger")) {
			t.Error("what the stranger brought is not held")
		}
		if n.Known(idOf("stranger")) || !n.Known(idOf("bootstrap 1")) {
			t.Error("a carrier and a bootstrap are taken for each other")
		}
		k.close()
	})
}
