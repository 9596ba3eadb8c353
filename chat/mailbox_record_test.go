package chat

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/directory"
	"hearsay/relay/mailbox"
)

func testAddressRecord(t *testing.T, network directory.NetworkID, key byte, revision uint64) *directory.AddressRecord {
	t.Helper()
	r, err := directory.SealAddressRecord(network, liarKey(key), directory.PlacementPeriod(true, time.Now()), revision, []byte("bundle"), [24]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestMailboxRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startMailboxRelay(t)
		defer r.close()
		c := r.open()
		defer c.Close()
		rec := testAddressRecord(t, r.cfg.Network, 9, 2)
		if _, err := c.GetRecord(t.Context(), rec.Key, rec.Period); !mailboxRefusedWith(err, mailbox.CodeAuth) {
			t.Errorf("before it was stored: %v", err)
		}
		if err := c.PutRecord(t.Context(), rec); err != nil {
			t.Fatal(err)
		}
		if got, err := c.GetRecord(t.Context(), rec.Key, rec.Period); err != nil || !got.Same(rec) {
			t.Errorf("got another record: %v", err)
		}
		if err := c.PutRecord(t.Context(), testAddressRecord(t, r.cfg.Network, 9, 1)); !mailboxRefusedWith(err, mailbox.CodeConflict) {
			t.Errorf("older record: %v", err)
		}
	})
}

// TestLyingMailboxRecord: only the very record that was asked for is taken.
func TestLyingMailboxRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		want := testAddressRecord(t, newLiar().cfg.Network, 9, 2)
		for name, change := range map[string]func(raw []byte, part int) ([]byte, int){
			"changed": func(raw []byte, part int) ([]byte, int) { raw[100] ^= 1; return raw, part },
			"another address": func(_ []byte, part int) ([]byte, int) {
				return testAddressRecord(t, newLiar().cfg.Network, 8, 2).Append(nil), part
			},
			"one part twice": func(raw []byte, _ int) ([]byte, int) { return raw, 0 },
		} {
			l := newLiar()
			l.answer = func(mailbox.Command, []byte) {
				for part := range mailbox.RecordParts {
					raw, n := change(want.Append(nil), part)
					m := mailbox.RecordPart{Part: byte(n), Chunk: [mailbox.RecordChunk]byte(raw[part*mailbox.RecordChunk:])}
					_ = l.stream.push(byte(mailbox.CmdRecord), 0, m.Append(nil))
				}
			}
			c := l.open(t)
			if _, err := c.GetRecord(t.Context(), want.Key, want.Period); !errors.Is(err, errMailboxProtocol) {
				t.Errorf("%s: %v", name, err)
			}
			<-c.Done()
			c.Close()
		}
	})
}
