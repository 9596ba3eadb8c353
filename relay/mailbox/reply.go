package mailbox

import "sync/atomic"

// write is the goroutine of the session.
func (c *Session) write() {
	err := error(errClosed)
	for run := true; run; {
		select {
		case <-c.closed:
			run = false
			continue
		case <-c.srv.stopped:
			err = errStopped
		case a := <-c.answers:
			a.count.Add(-1)
			err = a.run()
		case <-c.poke:
			err = c.push()
		}
		run = err == nil
	}
	c.kill(err)
	for _, p := range c.subs {
		c.srv.unsubscribe(p)
	}
}

// answer queues the reply of a command other than SEND. Too many commands
// without a reply end the session, so this never blocks.
func (c *Session) answer(run func() error) error { return c.queue(&c.others, OtherWindow, run) }

func (c *Session) answerSend(run func() error) error { return c.queue(&c.sends, SendWindow, run) }

func (c *Session) queue(count *atomic.Int32, limit int32, run func() error) error {
	if count.Add(1) > limit {
		return errProtocol
	}
	c.answers <- answer{count: count, run: run}
	return nil
}

// write1 hands an operation to the committer and queues its reply: an ERR if it
// was refused, else done.
func (c *Session) write1(cmd Command, run func(t *tx) error, done func() error) error {
	o, err := c.srv.submit(run, false)
	if err != nil {
		return err
	}
	return c.answer(func() error {
		err := c.srv.await(o)
		if r, ok := err.(*refusal); ok {
			return c.err1(cmd, r.code, r.argument, MessageID{})
		}
		if err != nil {
			return err
		}
		return done()
	})
}

// refuse queues an ERR.
func (c *Session) refuse(cmd Command, code Code, argument uint16) error {
	return c.answer(func() error { return c.err1(cmd, code, argument, MessageID{}) })
}

func (c *Session) refuseSend(id MessageID, code Code, argument uint16) error {
	return c.answerSend(func() error { return c.err1(CmdSend, code, argument, id) })
}

// err1 sends an ERR and counts it. The last failure that a session may have is
// still answered; then it is over.
func (c *Session) err1(cmd Command, code Code, argument uint16, reference MessageID) error {
	c.srv.stats.refused[code].Add(1)
	if err := c.send(CmdErr, Err{Command: cmd, Code: code, Argument: argument, Reference: reference}.Append(nil)); err != nil {
		return err
	}
	switch code {
	case CodeAuth, CodeUsed, CodeVersion, CodeWork, CodeLimit:
		c.failures++
	}
	if c.failures >= FailuresMax {
		return errFailures
	}
	return nil
}

func (c *Session) send(cmd Command, data []byte) error {
	return c.reply(byte(cmd), 0, c.stream, data)
}
