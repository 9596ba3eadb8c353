package circuit

import (
	"fmt"
	"time"

	"hearsay/circuit/cell"
	"hearsay/circuit/credit"
	"hearsay/circuit/onion"
)

// flow is the credit of one hop, counted in credited cells (SPEC.md §4).
// Circuit.mu guards it.
type flow struct {
	send credit.Sender
	recv credit.Receiver
}

func newFlow(o cell.Options) flow {
	return flow{credit.NewSender(int(o.Initial), int(o.Max)), credit.NewReceiver(int(o.Max))}
}

// acknowledge takes a SENDME. It fails if none is due or the tag is not that
// of the cell acknowledged, which the hop then has not seen.
func (f *flow) acknowledge(tag []byte, now time.Duration) error {
	if err := f.send.Acknowledge(credit.Tag(tag), now); err != nil {
		return fmt.Errorf("%w: %w", errViolation, err)
	}
	return nil
}

// receive counts a credited cell from the hop; tag is that of the hop's own
// layer on it. It fails if the hop had no credit.
func (f *flow) receive(tag onion.Tag) error {
	if err := f.recv.Receive(tag); err != nil {
		return fmt.Errorf("%w: %w", errViolation, err)
	}
	return nil
}

// askedCredit is what CREATE asks for. On a shaped link ticks make round trips
// of seconds: a larger window would only fill the guard's queues (SPEC.md §4).
func askedCredit(shaped, bulk bool) (initial, maximum uint16) {
	if shaped && !bulk {
		return cell.CreditInitial, cell.CreditInitial
	}
	return cell.CreditInitial, cell.CreditMax
}
