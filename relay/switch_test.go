package relay

import (
	"bytes"
	"crypto/rand"
	"testing"

	"hearsay/circuit/cell"
)

func TestFourHopsAnswer(t *testing.T) {
	bubble(t, 4, nil, func(t *testing.T, m *memNet) {
		c := m.client()
		if err := c.build(m.relays...); err != nil {
			t.Fatal(err)
		}
		for hop := range 4 {
			data := bytes.Repeat([]byte{byte(hop)}, 16)
			if err := c.send(hop, cell.Message{Command: cell.Ping, Data: data}); err != nil {
				t.Fatal(err)
			}
			if m := c.expect(t, hop, cell.Pong); !bytes.Equal(m.Data, data) {
				t.Fatalf("hop %d answers %x", hop, m.Data)
			}
			echo := make([]byte, cell.DataSize)
			rand.Read(echo)
			if err := c.send(hop, cell.Message{Command: cell.Echo, Data: echo}); err != nil {
				t.Fatal(err)
			}
			if m := c.expect(t, hop, cell.EchoReply); !bytes.Equal(m.Data, echo) {
				t.Fatalf("hop %d echoes something else", hop)
			}
		}
		reset(c.s)
	})
}
