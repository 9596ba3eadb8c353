package chat

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"hearsay/chat/session"
	"hearsay/circuit"
	"hearsay/directory"
	"hearsay/relay/mailbox"
)

// CreateInvite makes a one-time invite and returns once a relay stores it. It
// is the one method that needs the network: after 30 s, on shaped links 160 ticks
// more, it fails with no_network. A name is given to whoever uses it; it may be
// empty.
func (m *Messenger) CreateInvite(ctx context.Context, name string) (Invite, error) {
	return m.CreateInviteOnce(ctx, name, "")
}

// CreateInviteOnce is CreateInvite; with a key that was used in the last 30 days
// it returns the invite that was made then, and fails with not_found if that is
// not open any more. A call that failed leaves its key free.
func (m *Messenger) CreateInviteOnce(ctx context.Context, name, key string) (Invite, error) {
	name, refused := checkName(name)
	if refused != nil {
		return Invite{}, refused
	}
	made := ""
	err := m.look(ctx, func(t *turn) (err error) {
		if made, err = t.madeUnder(key, callText(methodInvite, name)); err != nil || made != "" {
			return err
		}
		if name != "" && t.book.nameTaken(name, "") {
			return &Error{Kind: KindExists, Text: "there is a contact or an invite of that name", Hint: "choose another name"}
		}
		return nil
	})
	if err != nil {
		return Invite{}, err
	}
	ctx, cancel := m.linkTime(ctx)
	defer cancel()
	m.warmUp()
	var inv Invite
	if made != "" {
		inv, err = m.awaitInvite(ctx, made)
	} else {
		inv, err = m.createInvite(ctx, name, key)
	}
	if err != nil && context.Cause(ctx) == errInviteTimeout {
		return Invite{}, m.noRelayTook("no relay took the invite")
	}
	return inv, err
}

// methodInvite names the method for idempotency keys.
const methodInvite = "invite.create"

// linkTime bounds the making of an invite or address. What it takes is known
// with the network file: until then the links count as unshaped.
func (m *Messenger) linkTime(ctx context.Context) (context.Context, context.CancelFunc) {
	start := time.Now()
	patience := timingOf(false).makeInvite
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-m.started:
		patience = m.timing().makeInvite
	case <-timer.C:
	case <-ctx.Done():
	}
	return context.WithDeadlineCause(ctx, start.Add(patience), errInviteTimeout)
}

// noRelayTook is the error of what needed the network in vain.
func (m *Messenger) noRelayTook(text string) *Error {
	why := ""
	m.mu.Lock()
	net := m.net
	m.mu.Unlock()
	if net != nil {
		why = net.Why()
	}
	switch {
	case why != "":
	case net == nil:
		why = "the network's directory does not answer: look at this computer's connection, and at the network link"
	case m.tick() > 0:
		why = "cover traffic leaves room for few circuits: try again in ten minutes"
	default:
		why = "look at the network view"
	}
	return &Error{Kind: KindNoNetwork, Text: text, Hint: Sanitize(why)}
}

var errInviteTimeout = &Error{Kind: KindNoNetwork, Text: "timed out"}

func (m *Messenger) createInvite(ctx context.Context, name, key string) (Invite, error) {
	id := newID("i_")
	queues, err := m.inviteQueues(ctx, id, mailbox.KindInvite)
	if err != nil {
		return Invite{}, err
	}
	life := inviteLife
	if m.isLab() {
		life /= 60 // as the queue
	}
	expires := m.snapshotTime(time.Now()).Add(life)
	secret, err := session.NewInvite(rand.Reader, m.link.ID, [2]session.QAddr{queues[0].addr(), queues[1].addr()}, expires)
	if err != nil {
		return Invite{}, fmt.Errorf("make invite: %w", err)
	}
	blob, err := secret.SealBlob(rand.Reader)
	if err != nil {
		return Invite{}, fmt.Errorf("make invite: %w", err)
	}
	return m.publishInvite(ctx, &invite{id: id, secret: secret, parts: &session.RequestAssembler{}, rec: inviteRecord{
		Name: name, Secret: secret.Append(nil), Blob: blob, Queues: queues, Expires: expires.Unix(),
	}}, key)
}

// inviteQueues makes the two queues of an invite or address. It tries other relays in place
// of those that fail, waits for further ones while none took a queue, and is content with one
// queue if only one mailbox relay is listed or the others do not answer.
//
// The link's id follows from the names of the queues at their relays, so the
// queues are made without it; linker adds it.
func (m *Messenger) inviteQueues(ctx context.Context, id string, kind mailbox.Kind) ([2]queueRecord, error) {
	var queues [2]queueRecord
	var tried []directory.RelayID
	patience := m.timing().makeInvite / 2
	start := time.Now()
	for {
		view, err := m.waitView(ctx)
		if err == nil {
			err = mayPlace(view)
		}
		if err != nil {
			m.unmake(ctx, queues)
			return queues, err
		}
		var missing []int
		for n := range queues {
			if queues[n].Made {
				continue
			}
			relay, ok := m.drawRelay(view, tried, nil)
			if !ok {
				continue
			}
			tried = append(tried, relay)
			queues[n] = newQueue(relay)
			missing = append(missing, n)
		}
		if len(missing) == 0 {
			if queues[0].Made || queues[1].Made {
				break
			}
			tried = nil // every one of this snapshot failed: the next one may list others
			if err := m.waitOtherView(ctx, view); err != nil {
				return queues, err
			}
			continue
		}
		var wg sync.WaitGroup
		for _, n := range missing {
			isolation := fmt.Sprintf("in/%s/%d", id, n)
			if kind == mailbox.KindAddress {
				isolation = inIsolation(id, &queues[n])
			}
			wg.Go(func() {
				ok, err := m.makeQueue(ctx, queues[n], kind, mailbox.LID{}, isolation)
				if err != nil {
					m.log.Debug("making a queue for others to open", errorKey, err)
					return
				}
				queues[n].SID, queues[n].Made = ok.SID, true
			})
		}
		wg.Wait()
		if err := ctx.Err(); err != nil {
			m.unmake(ctx, queues)
			return queues, err
		}
		if (queues[0].Made || queues[1].Made) && time.Since(start) > patience {
			break
		}
	}
	if !queues[0].Made {
		queues[0], queues[1] = queues[1], queues[0]
	}
	if !queues[1].Made {
		queues[1] = queueRecord{}
	}
	for n := range queues {
		queues[n].InUse = queues[n].Made
	}
	return queues, nil
}

// publishInvite writes the invite to the disk, and then has the relays store
// its blob. It returns when the first does; the other follows.
func (m *Messenger) publishInvite(ctx context.Context, i *invite, key string) (Invite, error) {
	id := ""
	err := m.do(ctx, func(t *turn) (err error) {
		id, err = t.once(key, callText(methodInvite, i.rec.Name), func() (string, error) {
			t.book.invites[i.id] = i
			t.roster = true
			return i.id, t.saveInvite(i)
		})
		return err
	})
	if err != nil || id != i.id { // another call was faster
		m.unmake(ctx, i.rec.Queues)
	}
	if err != nil {
		return Invite{}, err
	}
	inv, err := m.awaitInvite(ctx, id)
	if err != nil && id == i.id {
		_ = m.do(context.WithoutCancel(ctx), func(t *turn) error {
			if t.book.invites[id] == nil {
				return nil
			}
			if err := t.forgetKey(key); err != nil {
				return err
			}
			return t.revokeInvite(i)
		})
	}
	return inv, err
}

// awaitInvite returns an invite once a relay stores its blob.
func (m *Messenger) awaitInvite(ctx context.Context, id string) (inv Invite, err error) {
	stored := false
	err = m.look(ctx, func(t *turn) error {
		i := t.book.invites[id]
		if i == nil {
			return &Error{Kind: KindNotFound, Text: "the invite that was made under this key is not open any more", Hint: "use another key for a new invite"}
		}
		inv, stored = shapeInvite(i), i.rec.Queues[0].Link || i.rec.Queues[1].Link
		return nil
	})
	if err != nil || stored {
		return inv, err
	}
	select {
	case <-m.linked(id):
		return inv, nil
	case <-ctx.Done():
		return Invite{}, ctx.Err()
	}
}

// linker has one relay store the blob of an invite.
type linker struct {
	m      *Messenger
	invite string
	number int
}

// Run tries until the relay stores it, the invite is gone, or ctx ends.
func (l *linker) Run(ctx context.Context) {
	for fails := 1; ctx.Err() == nil; fails++ {
		var q queueRecord
		var blob [mailbox.LinkSize]byte
		var lid mailbox.LID
		err := l.m.look(ctx, func(t *turn) error {
			if i := t.book.invites[l.invite]; i != nil {
				q, blob, lid = i.rec.Queues[l.number], [mailbox.LinkSize]byte(i.rec.Blob), mailbox.LID(i.secret.Link().LID())
			}
			return nil
		})
		if err != nil || !q.exists() || q.Link {
			return
		}
		err = l.store(ctx, q, lid, &blob)
		_ = l.m.do(ctx, func(t *turn) error {
			i := t.book.invites[l.invite]
			if i == nil {
				return nil
			}
			i.tried[l.number] = true
			if err != nil {
				return nil
			}
			i.rec.Queues[l.number].Link = true
			return t.saveInvite(i)
		})
		l.m.wakeInboxes()
		if err == nil {
			l.m.setLinked(l.invite)
			return
		}
		if ctx.Err() == nil {
			l.m.log.Debug("storing an invite", errorKey, err)
		}
		timer := time.NewTimer(backoff(fails, l.m.timing().retryMin, l.m.timing().retryMax))
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

func (l *linker) store(ctx context.Context, q queueRecord, lid mailbox.LID, blob *[mailbox.LinkSize]byte) error {
	isolation := fmt.Sprintf("in/%s/%d", l.invite, l.number)
	p, err := l.m.openPost(ctx, circuit.Request{Front: true, Purpose: circuit.Subscribe, Destination: q.Relay, Isolation: isolation})
	if err != nil {
		return err
	}
	stored := false
	life := l.m.timing().openMail
	defer func() {
		if stored {
			l.m.left.leave(isolation, p, life) // for the reader
		} else {
			p.Close()
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, life)
	defer cancel()
	// The link's id followed from the queues' names: this NEW adds it.
	if _, err := p.New(ctx, mailboxQueue{Kind: mailbox.KindInvite, Key: q.owner(), Cap: q.Cap, LID: lid}); err != nil {
		return err
	}
	if _, _, err := p.Poll(ctx, q.owner(), 0, 0); err != nil {
		return err
	}
	err = p.SetLink(ctx, q.rid(), blob)
	stored = err == nil
	return err
}
