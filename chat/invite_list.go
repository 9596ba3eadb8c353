package chat

import (
	"cmp"
	"context"
	"slices"
	"time"
)

var errNoInvite = &Error{Kind: KindNotFound, Text: "there is no such invite"}

// Invites lists the open one-time invites, oldest first.
func (m *Messenger) Invites(ctx context.Context) ([]Invite, error) {
	list := []Invite{}
	err := m.look(ctx, func(t *turn) error {
		for _, i := range t.book.invites {
			if !t.book.introduces(i.id) {
				list = append(list, shapeInvite(i))
			}
		}
		return nil
	})
	slices.SortFunc(list, func(x, y Invite) int { return cmp.Or(x.Expires.Compare(y.Expires), cmp.Compare(x.ID, y.ID)) })
	return list, err
}

func shapeInvite(i *invite) Invite {
	shape := Invite{
		ID: i.id, Link: i.secret.Link().String(), Name: i.rec.Name, Expires: time.Unix(i.rec.Expires, 0).UTC(),
		State: "waiting", Opened: max(i.rec.Opened[0], i.rec.Opened[1]),
	}
	if shape.Opened > 0 {
		shape.State = "opened"
	}
	return shape
}

// RevokeInvite ends an open invite: its keys are erased at once, and its relays
// are asked to delete its queues.
func (m *Messenger) RevokeInvite(ctx context.Context, id string) error {
	return m.do(ctx, func(t *turn) error {
		i := t.book.invites[id]
		if i == nil {
			return errNoInvite
		}
		return t.revokeInvite(i)
	})
}

func (t *turn) revokeInvite(i *invite) error {
	t.discard(i.rec.Queues[:]...)
	delete(t.book.invites, i.id)
	t.roster = true
	return t.tx.Bucket(bucketInvite).Delete(i.id)
}

// noteOpened takes a relay's word of how many readers asked for the link of an
// invite. The one whom it is for is one of them: more are told.
func (m *Messenger) noteOpened(ctx context.Context, id string, number int, opens uint16) {
	var changed bool
	err := m.look(ctx, func(t *turn) error {
		i := t.book.invites[id]
		changed = i != nil && int(opens) > i.rec.Opened[number]
		return nil
	})
	if err != nil || !changed {
		return
	}
	_ = m.do(ctx, func(t *turn) error {
		i := t.book.invites[id]
		if i == nil || int(opens) <= i.rec.Opened[number] {
			return nil
		}
		before := max(i.rec.Opened[0], i.rec.Opened[1])
		i.rec.Opened[number] = int(opens)
		if opens > 1 && int(opens) > before {
			detail := "an invite was opened by more than one person; make a new one and give it over another channel"
			if i.rec.Name != "" {
				detail = "the invite for " + i.rec.Name + " was opened by more than one person; revoke it, and give a new one over another channel"
			}
			t.publish(Event{Type: ErrorEvent, Kind: KindInviteUsed, Detail: detail})
		}
		return t.saveInvite(i)
	})
}
