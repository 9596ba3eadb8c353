package chat

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"hearsay/chat/session"
)

// TestAmendmentsConverge delivers what a contact did in any order: in the end
// the conversation is what it would be had all come in the order in which it was
// done, and nothing of ours has changed but for reactions.
func TestAmendmentsConverge(t *testing.T) {
	m, _ := searchable(t, 1)
	ran := 0
	rapid.Check(t, func(rt *rapid.T) {
		ran++
		deeds := drawDeeds(rt)
		order := rapid.Permutation(deeds).Draw(rt, "order")
		err := m.do(t.Context(), func(t *turn) error {
			inOrder, err := replay(t, fmt.Sprintf("c_a%d", ran), deeds)
			if err != nil {
				return err
			}
			anyOrder, err := replay(t, fmt.Sprintf("c_b%d", ran), order)
			if err != nil {
				return err
			}
			if inOrder != anyOrder {
				rt.Errorf("in order:\n%s\nin another order:\n%s", inOrder, anyOrder)
			}
			return nil
		})
		if err != nil {
			rt.Fatal(err)
		}
	})
}

// deed is one message of a contact.
type deed struct {
	seq     uint64
	kind    session.FrameType
	id      [16]byte
	content []byte
}

const ownTexts = 2 // of ours, with the ids 201 and on

func drawDeeds(rt *rapid.T) []deed {
	var deeds []deed
	texts := 0
	for i := range rapid.IntRange(1, 12).Draw(rt, "deeds") {
		d := deed{seq: uint64(i + 1), id: [16]byte{0: byte(i + 1), 15: 1}}
		target := [16]byte{0: byte(rapid.SampledFrom([]int{1, 2, 3, 5, 8, 201, 202, 99}).Draw(rt, "target")), 15: 1}
		if target[0] > byte(i) && target[0] < 200 {
			target[0] = 1 // nobody amends what is not written yet
		}
		d.kind = rapid.SampledFrom([]session.FrameType{session.FrameText, session.FrameEdit, session.FrameEdit, session.FrameReact, session.FrameRetract}).Draw(rt, "kind")
		if i == 0 {
			d.kind = session.FrameText
		}
		texts++
		switch d.kind {
		case session.FrameText:
			text := session.Text{Text: fmt.Sprint("text ", texts)}
			if rapid.Bool().Draw(rt, "reply") && target != d.id {
				text.Reply = &target
			}
			d.content, _ = text.Append(nil)
		case session.FrameEdit:
			d.content = append(target[:], fmt.Sprint("edit ", texts)...)
		case session.FrameReact:
			d.content = append(target[:], rapid.SampledFrom([]string{"", "👍", "❤️", "no emoji"}).Draw(rt, "emoji")...)
		case session.FrameRetract:
			d.content = target[:]
		}
		deeds = append(deeds, d)
	}
	return deeds
}

// replay delivers to a new contact and describes the conversation, by id.
func replay(t *turn, id string, deeds []deed) (string, error) {
	c := newContact(id)
	c.rec.Name, c.rec.State = id, ContactActive
	t.book.contacts[id] = c
	defer func() {
		delete(t.book.contacts, id)
		delete(t.dirty, c)
	}()
	for i := range ownTexts {
		rec := messageRecord{Out: true, Final: finalDelivered, Text: fmt.Sprint("own ", i), Time: t.now.UnixMilli(), ID: [16]byte{0: byte(201 + i), 15: 1}}
		if _, err := t.addRow(id, &rec); err != nil {
			return "", err
		}
	}
	shown := uint64(0)
	for _, d := range deeds {
		if err := t.deliver(c, session.Message{Type: d.kind, ID: d.id, Content: d.content}, d.seq, d.seq < shown); err != nil {
			return "", err
		}
		shown = max(shown, d.seq)
	}
	ids := make(map[uint64]byte)
	var recs []messageRecord
	err := t.tx.History(id).Up(0, func(n uint64, raw []byte) (bool, error) {
		var rec messageRecord
		err := decode(raw, &rec)
		ids[n], recs = rec.ID[0], append(recs, rec)
		return true, err
	})
	slices.SortFunc(recs, func(a, b messageRecord) int { return cmp.Compare(a.ID[0], b.ID[0]) })
	said := ""
	for _, rec := range recs {
		mark := rec.mark()
		earlier := 0
		if len(mark.Earlier) > 0 {
			earlier = 1
		}
		said += fmt.Sprintf("%d: out %v %q gone %d edited %d theirs %q reply to %d\n", rec.ID[0], rec.Out, rec.Text, mark.Gone, earlier, mark.Theirs, ids[rec.ReplyTo])
		if rec.Out && (mark.Gone != 0 || earlier != 0) {
			return "", fmt.Errorf("a message of ours was amended: %s", said)
		}
	}
	return said, err
}
