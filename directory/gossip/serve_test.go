package gossip

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/directory"
)

// TestRequests asks for everything that is there, and for what is not.
func TestRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := found(t, true, directory.JoinOpen, 1)
		m := newMesh(t)
		n := m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
		a := f.record("relay 0", 0)
		check(t, n.Publish(a.Raw))
		var heads [][]byte
		for range 3 {
			raw := f.snapshot(a)
			check(t, n.AddSnapshot(raw, f.log))
			s, err := directory.ParseSnapshot(raw)
			check(t, err)
			head, err := s.Head.Encode()
			check(t, err)
			heads = append(heads, head)
			time.Sleep(10 * time.Second)
		}
		p, q := net.Pipe()
		m.wg.Go(func() { _ = n.ServeLinkRequest(m.ctx, q, nil) })
		x, err := askStream(t.Context(), p, idOf("bootstrap"), f.id)
		check(t, err)
		defer x.close()
		if x.hello.epoch != f.header.Epoch || x.hello.logSize != f.header.LogSize || x.hello.role != RoleDirectory || x.hello.count != 1 {
			t.Errorf("%+v", x.hello)
		}
		ask := func(typ Type, body []byte) []byte {
			t.Helper()
			b, err := x.do(typ, body)
			check(t, err)
			return b
		}
		number := func(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v) }
		hash := func(b []byte) []byte { h := sha256.Sum256(b); return h[:] }
		for i, c := range []struct {
			typ  Type
			body []byte
			want []byte
		}{
			{TypeHead, number(0), heads[2]},
			{TypeHead, number(f.header.Epoch), heads[2]},
			{TypeHead, number(f.header.Epoch - 2), heads[0]},
			{TypeHead, number(7), nil},
			{TypeDocument, hash(a.Raw), a.Raw},
			{TypeDocument, hash(f.raw), f.raw},
			{TypeDocument, hash(heads[2]), heads[2]},
			{TypeDocument, hash(nil), nil},
			{TypeSnapshot, snapshotRequest{epoch: 7}.append(nil), []byte{snapshotNone}},
			{TypeLeaves, number(1), appendLeaves(nil, f.log.Leaves(1))},
			{TypeLeaves, number(1 << 60), nil},
			{TypeProof, proofRequest{9, 7, 3}.append(nil), nil},
			{TypeFile, []byte{0, 0, 0, 0}, appendFiles(nil, [][]byte{f.raw})},
			{TypeFile, []byte{0, 0, 0, 2}, nil},
		} {
			if got := ask(c.typ, c.body); !bytes.Equal(got, c.want) {
				t.Errorf("%d: %d bytes, not %d", i, len(got), len(c.want))
			}
		}
		if _, _, err := x.snapshot(7); !errors.Is(err, errUnknown) {
			t.Errorf("%v", err)
		}
		// There is nothing newer than the newest; an unknown base is answered in full.
		if got := ask(TypeSnapshot, snapshotRequest{base: n.head.Hash()}.append(nil)); !bytes.Equal(got, []byte{snapshotNone}) {
			t.Errorf("newer than the newest: %d bytes", len(got))
		}
		full := ask(TypeSnapshot, snapshotRequest{base: [32]byte{1}}.append(nil))
		if full[0] != snapshotFull || !bytes.Equal(full[1:], n.snapshot) {
			t.Error("not the full snapshot")
		}
		// What is no request ends the stream.
		var bye *byeError
		_, err = x.s.Write([]byte{byte(TypeHello), 0, 0, 0})
		check(t, err)
		if _, err := x.answer(TypeHello); !errors.As(err, &bye) || bye.code != ByeProtocol {
			t.Errorf("a HELLO from a client: %v", err)
		}
		m.stop()
	})
}
