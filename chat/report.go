package chat

import (
	"context"
	"time"

	"hearsay/circuit"
	"hearsay/directory"
)

// The steps of the start-up, in order.
const (
	stepFile = iota
	stepSnapshot
	stepGuard
	stepCircuit
	stepMailboxes
	stepCount
)

var stepNames = [stepCount]string{"network file", "snapshot", "guard", "circuit", "mailboxes"}

// startup notes how far the start-up came.
type startup [stepCount]struct {
	began, ended time.Time
	failed       bool
	detail       string
}

func (m *Messenger) begin(step int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.steps[step].began.IsZero() {
		m.steps[step].began = time.Now()
	}
}

func (m *Messenger) finish(step int, detail string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := &m.steps[step]
	if detail != "" {
		s.detail = detail
	}
	s.failed = false
	if s.ended.IsZero() {
		s.ended = time.Now()
		if step+1 < stepCount && m.steps[step+1].began.IsZero() {
			m.steps[step+1].began = s.ended
		}
	}
}

// note says something of a step that need not be done.
func (m *Messenger) note(step int, detail string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.steps[step].detail = detail
}

func (m *Messenger) fail(step int, detail string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.steps[step].failed, m.steps[step].detail = true, detail
}

// Status tells how things stand.
func (m *Messenger) Status() Status {
	s := Status{Cover: m.Cover(), Encrypted: m.store.Encrypted(), Circuits: []circuit.Info{}}
	s.Network, s.Lab, _ = m.Network()
	m.mu.Lock()
	s.ClockSkew = m.skew
	net := m.net
	m.mu.Unlock()
	view := m.views.Current()
	if view != nil {
		s.Relays, s.Epoch, s.SnapshotAge = len(view.Relays()), view.Epoch(), max(0, time.Since(view.ValidAfter()))
	}
	s.Warnings = m.warnings()
	why := ""
	if net != nil {
		s.Circuits, why = net.Circuits(), net.Why()
		if n, ok := net.(outlooker); ok {
			s.Outlook = n.Outlook()
		}
	}
	open := false
	for _, c := range s.Circuits {
		open = open || c.State == "open"
	}
	due := m.subscriptionsDue(&s)
	up := m.subscribedOwners()
	s.Due, s.Why = len(due), why
	for _, owner := range due {
		if up[owner] {
			s.Standing++
		}
	}
	s.Ready = open && s.Standing == s.Due
	if s.Ready {
		m.finish(stepMailboxes, "")
	}
	s.Health = m.health(view, open, s.Ready, why)
	s.Steps = m.stepList()
	return s
}

// subscriptionsDue returns the contacts and open invites that are due a standing
// subscription, and counts what waits.
func (m *Messenger) subscriptionsDue(s *Status) (due []string) {
	_ = m.reading().look(context.Background(), func(t *turn) error {
		s.Queued, s.Locked = t.book.onlyHere(), t.book.locked
		for id, c := range t.book.contacts {
			if c.rec.Claim == nil || c.rec.Claim.Failed == "" {
				due = append(due, id)
			}
		}
		for id := range t.book.invites {
			due = append(due, id)
		}
		return nil
	})
	return due
}

// health says in one word how things stand.
func (m *Messenger) health(view *directory.View, open, ready bool, why string) Health {
	switch {
	case view == nil:
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.steps[stepFile].failed {
			return Offline
		}
		return Building
	case view.State(time.Now()) >= directory.Stale:
		return StaleView
	case !open && why != "":
		return Offline
	case !open:
		return Building
	case !ready || m.lame():
		return Degraded
	}
	return Connected
}

// lame tells whether a queue of ours or of a contact cannot be used now.
func (m *Messenger) lame() bool {
	lame := false
	_ = m.look(context.Background(), func(t *turn) error {
		for _, c := range t.book.contacts {
			for i := range c.slots {
				lame = lame || !c.slots[i].addr.IsZero() && t.now.Before(c.slots[i].rests)
			}
		}
		return nil
	})
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, b := range m.inboxes {
		lame = lame || b.firstDown()
	}
	return lame
}

func (m *Messenger) stepList() []Step {
	m.mu.Lock()
	defer m.mu.Unlock()
	steps := make([]Step, stepCount)
	for i, s := range m.steps {
		steps[i] = Step{Name: stepNames[i], State: "waiting", Detail: s.detail}
		switch {
		case !s.ended.IsZero():
			steps[i].State, steps[i].Took = "done", s.ended.Sub(s.began)
		case s.failed:
			steps[i].State, steps[i].Took = "failed", time.Since(s.began)
		case !s.began.IsZero():
			steps[i].State, steps[i].Took = "running", time.Since(s.began)
		}
	}
	return steps
}
