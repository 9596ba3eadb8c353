package relay

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"testing"

	"hearsay/circuit/cell"
	"hearsay/circuit/onion"
	"hearsay/directory"
)

// testClient builds and uses a circuit by hand, without the client's rules, so
// that tests can break them.
type testClient struct {
	network directory.NetworkID
	s       stream
	onion   onion.Client
	buf     [cell.Size]byte
	credit  uint16 // asked for; 0: the default
	// got counts credited cells of each hop, for SENDME.
	got [cell.Slots]int
}

func (c *testClient) params(r directory.Relay, slot int) onion.Params {
	return onion.Params{
		Network: c.network, Identity: r.ID, OnionKey: r.OnionKey, OnionEpoch: r.OnionEpoch,
		Options: cell.Options{HasSlot: true, Slot: slot, HasCredit: c.credit > 0, Initial: c.credit, Max: c.credit},
	}
}

func (c *testClient) createCells(create []byte) []byte {
	b := make([]byte, 2*cell.Size)
	cell.PutFragments(b[:cell.Size], b[cell.Size:], cell.Create, create)
	return b
}

// create makes the first hop.
func (c *testClient) create(r directory.Relay) error {
	h, create, err := onion.NewClientHandshake(rand.Reader, c.params(r, 0))
	if err != nil {
		return err
	}
	if _, err := c.s.Write(c.createCells(create)); err != nil {
		return err
	}
	asm := cell.Assembler{Type: cell.Created}
	for {
		if err := c.readCell(); err != nil {
			return err
		}
		msg, done, err := asm.Add(c.buf[:])
		if err != nil {
			return err
		}
		if done {
			l, _, err := h.Finish(msg)
			if err != nil {
				return err
			}
			return c.onion.Add(l)
		}
	}
}

func (c *testClient) readCell() error {
	_, err := io.ReadFull(c.s, c.buf[:])
	return err
}

// extend adds the next hop.
func (c *testClient) extend(r directory.Relay) error {
	slot := c.onion.Hops()
	h, create, err := onion.NewClientHandshake(rand.Reader, c.params(r, slot))
	if err != nil {
		return err
	}
	for _, m := range cell.SplitExtend(r.ID, create) {
		if err := c.send(slot-1, m); err != nil {
			return err
		}
	}
	asm := cell.MessageAssembler{Command: cell.Extended}
	for {
		hop, m, err := c.recv()
		if err != nil {
			return err
		}
		if m.Command == cell.ExtendFail && hop == slot-1 {
			return extendFail(m.Data[0])
		}
		if hop != slot-1 {
			return fmt.Errorf("answer of hop %d", hop)
		}
		msg, done, err := asm.Add(m)
		if err != nil {
			return err
		}
		if done {
			l, _, err := h.Finish(msg)
			if err != nil {
				return err
			}
			return c.onion.Add(l)
		}
	}
}

// extendFail is the reason of an EXTEND_FAIL.
type extendFail byte

func (e extendFail) Error() string { return fmt.Sprintf("extend failed: %d", byte(e)) }

// build makes a whole circuit.
func (c *testClient) build(path ...directory.Relay) error {
	for i, r := range path {
		var err error
		if i == 0 {
			err = c.create(r)
		} else {
			err = c.extend(r)
		}
		if err != nil {
			return fmt.Errorf("hop %d: %w", i, err)
		}
	}
	return nil
}

// seal returns the cell of a message for a hop.
func (c *testClient) seal(hop int, m cell.Message) ([]byte, error) {
	b := make([]byte, cell.Size)
	cell.Header{Type: cell.Relay}.Put(b)
	return b, c.onion.SealForward(cell.Body(b), hop, m)
}

func (c *testClient) send(hop int, m cell.Message) error {
	b, err := c.seal(hop, m)
	if err != nil {
		return err
	}
	_, err = c.s.Write(b)
	return err
}

// recv returns the next message, whose data is valid until the next call. It
// answers credit.
func (c *testClient) recv() (int, cell.Message, error) {
	if err := c.readCell(); err != nil {
		return 0, cell.Message{}, err
	}
	if h, err := cell.ParseHeader(c.buf[:]); err != nil || h.Type != cell.Relay {
		return 0, cell.Message{}, errors.New("not a RELAY cell")
	}
	hop, payload, err := c.onion.OpenBackward(cell.Body(c.buf[:]))
	if err != nil {
		return 0, cell.Message{}, err
	}
	m, err := cell.ParseMessage(payload)
	if err != nil {
		return 0, cell.Message{}, err
	}
	if m.Command.Credited() {
		if c.got[hop]++; c.got[hop]%cell.CreditStep == 0 {
			tag := c.onion.BackwardTag(hop)
			if err := c.send(hop, cell.Message{Command: cell.SendMe, Data: tag[:]}); err != nil {
				return 0, cell.Message{}, err
			}
		}
	}
	return hop, m, nil
}

// expect receives until a message that is no SENDME and checks it.
func (c *testClient) expect(t testing.TB, hop int, cmd cell.Command) cell.Message {
	t.Helper()
	for {
		h, m, err := c.recv()
		if err != nil {
			t.Fatalf("waiting for %#x of hop %d: %v", byte(cmd), hop, err)
		}
		if m.Command == cell.SendMe {
			continue
		}
		if h != hop || m.Command != cmd {
			t.Fatalf("got %#x of hop %d, want %#x of hop %d", byte(m.Command), h, byte(cmd), hop)
		}
		return m
	}
}

// expectGone checks that the circuit ends without another message.
func (c *testClient) expectGone(t testing.TB) {
	t.Helper()
	if _, m, err := c.recv(); err == nil {
		t.Fatalf("circuit answers %#x, want it gone", byte(m.Command))
	}
}
