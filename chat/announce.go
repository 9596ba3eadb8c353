package chat

import (
	"errors"

	"hearsay/chat/session"
)

// announce tells the contact about queues of ours that it does not know yet.
func (t *turn) announce(c *contact) error {
	for n := range c.rec.Own {
		q := &c.rec.Own[n]
		if !q.Made || q.InUse || q.Gen != 0 {
			continue
		}
		gen := t.nextGeneration(c)
		add := session.QAdd{Slot: byte(n), Generation: gen, Addr: q.addr()}
		err := t.sealControl(c, session.FrameQAdd, add.Append(nil))
		if errors.Is(err, session.ErrWindowFull) {
			return nil // the next acknowledgement brings us back here
		}
		if err != nil {
			return err
		}
		q.Gen, c.moving().Gen = gen, gen
	}
	return nil
}

// nextGeneration rises over restarts and over a store that was set back.
func (t *turn) nextGeneration(c *contact) uint32 {
	gen := uint32(t.m.snapshotTime(t.now).Unix())
	for _, q := range c.rec.Own {
		gen = max(gen, q.Gen+1)
	}
	if c.rec.Move != nil {
		gen = max(gen, c.rec.Move.Gen+1)
	}
	return gen
}
