package relay

import "hearsay/relay/mailbox"

// figureStep is what figures for monitoring are rounded up to: who watches them
// over time must not see single people come and go (SPEC.md §14).
const figureStep = 1024

// Figures are what a node counts, rounded up to multiples of 1024 but for Listed.
type Figures struct {
	Listed       bool
	Circuits     uint64            // that are open
	Cells        uint64            // of circuits, both ways, since the start
	Queues       uint64            // that live
	Blocks       uint64            // that are held
	MailboxBytes uint64            // about what so many take on the disk, of the rounded numbers
	Refused      map[string]uint64 // by reason, since the start; circuits and mailbox commands
}

// Figures returns what the node counts now; they are zero before Ready. It is safe
// for concurrent use.
func (n *Node) Figures() Figures {
	f := Figures{Refused: map[string]uint64{}}
	select {
	case <-n.ready:
	default:
		return f
	}
	c, m := n.sw.Counters(), n.mailbox.Stats()
	f.Listed = n.gossip.Status().Listed
	f.Circuits = coarse(uint64(n.sw.Circuits()))
	f.Cells = coarse(c.Forward + c.Backward)
	f.mailbox(int64(m.Queues), int64(m.Blocks))
	for _, why := range []End{EndRule, EndLayer, EndHandshake, EndCredit, EndExcess, EndRefused, EndLoad, EndFull, EndStalled, EndMemory} {
		f.Refused["circuit_"+why.String()] = coarse(c.Ended[why])
	}
	for code, count := range m.Refused {
		f.Refused["mailbox_"+code.String()] = coarse(count)
	}
	return f
}

// mailbox sets the figures of the mailbox. Bytes are counted of what is shown: a block
// takes more than a step of them, so that rounding their own sum would count blocks.
func (f *Figures) mailbox(queues, blocks int64) {
	f.Queues, f.Blocks = coarse(uint64(max(queues, 0))), coarse(uint64(max(blocks, 0)))
	f.MailboxBytes = uint64(mailbox.Space(int64(f.Queues), int64(f.Blocks)))
}

// coarse rounds up to the next multiple of figureStep.
func coarse(n uint64) uint64 { return (n + figureStep - 1) / figureStep * figureStep }
