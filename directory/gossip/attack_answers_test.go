package gossip

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/directory"
)

// TestAttackLedgerNamedAsRecords: a request names the largest document that there
// is as a record, hundreds of times over. Two bytes of answer each must not cost
// megabytes of work.
func TestAttackLedgerNamedAsRecords(t *testing.T) {
	f := found(t, true, directory.JoinOpen, 1)
	m := newMesh(t)
	n := m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
	ledger := Document{Raw: make([]byte, 7_200_000)} // of 50,000 relays
	ledger.Hash = sha256.Sum256(ledger.Raw)
	check(t, n.Keep(7, []Document{ledger}))
	var body []byte
	const names = 256
	for range names {
		body = append(body, ledger.Hash[:16]...)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	b, err := n.answerRecords(body)
	check(t, err)
	runtime.ReadMemStats(&after)
	list, err := parseRecordList(b, names)
	check(t, err)
	for _, r := range list {
		if r != nil {
			t.Fatal("a ledger was given as a record")
		}
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
		t.Errorf("%d bytes taken to answer %d", got, len(b))
	}
}

// TestAttackHalfMessages: made-up identities begin long messages on many streams and
// end none. They hold no more memory than their common share, and not for long;
// listed relays are heard meanwhile.
func TestAttackHalfMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := found(t, false, directory.JoinToken, 1)
		m := newMesh(t)
		defer m.stop()
		n := m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
		listed := f.record("listed", 0)
		check(t, n.Publish(listed.Raw))
		check(t, n.AddSnapshot(f.snapshot(listed), f.log))
		half := func(frames int) []byte {
			var b []byte
			for range frames {
				b = append(b, byte(TypeEvidence), flagMore, 0xff, 0xff)
				b = append(b, make([]byte, maxFrameBody)...)
			}
			return b
		}
		frames := directory.MaxEvidence / maxFrameBody
		sent := make([]int, 24)
		var talkers []*talker
		for i := range 24 {
			k := talk(t, n, fmt.Sprint("stranger ", i), RoleRelay)
			talkers = append(talkers, k)
			go func() { _, _ = io.Copy(io.Discard, k.Conn) }()
			go func() { sent[i], _ = k.Write(half(frames)) }()
		}
		synctest.Wait()
		sum := 0
		for i, k := range talkers {
			if len(k.done) == 0 {
				sum += sent[i]
			}
		}
		if most := strangerParts + len(talkers)<<17; sum > most || sum < strangerParts/2 {
			t.Errorf("strangers have %d bytes held, their share is %d", sum, strangerParts)
		}
		k := talk(t, n, "listed", RoleRelay)
		go func() { _, _ = io.Copy(io.Discard, k.Conn) }()
		whole := appendMessage(nil, TypeEvidence, make([]byte, 3*maxFrameBody))
		if _, err := k.Write(whole); err != nil {
			t.Errorf("a listed relay is not heard: %v", err)
		}
		if err := <-k.done; !errors.Is(err, errRefused) { // it was read as a whole and looked at
			t.Errorf("a listed relay's message: %v", err)
		}
		time.Sleep(frameTimeout + time.Second)
		for i, k := range talkers {
			select {
			case <-k.done:
			default:
				t.Errorf("stranger %d still keeps half a message here", i)
			}
		}
		if n.parts.held != 0 {
			t.Errorf("%d bytes counted after all", n.parts.held)
		}
		for _, k := range talkers {
			_ = k.Close()
		}
		_ = k.Close()
	})
}

// TestAttackMadeUpRumours: a stranger announces thousands of records that nobody
// has, again and again. What a listed relay announces is asked for at once.
func TestAttackMadeUpRumours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := found(t, false, directory.JoinToken, 1)
		m := newMesh(t)
		defer m.stop()
		n := m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
		listed := f.record("listed", 0)
		check(t, n.Publish(listed.Raw))
		check(t, n.AddSnapshot(f.snapshot(listed), f.log))
		stranger, k := talk(t, n, "stranger", RoleRelay), talk(t, n, "listed", RoleRelay)
		go func() { _, _ = io.Copy(io.Discard, stranger.Conn) }()
		wanted := make(chan []key, 64)
		go func() {
			defer close(wanted)
			for r := (frameReader{r: k.Conn}); ; {
				msg, err := r.next()
				if err != nil {
					return
				}
				if keys, err := parseWant(msg.body); msg.typ == TypeWant && err == nil {
					wanted <- keys
				}
			}
		}()
		made := uint64(0)
		for i := range 20 {
			var body []byte
			for range maxHave {
				made++
				h := have{seq: 1}
				binary.BigEndian.PutUint64(h.key[:], made)
				body = h.append(body)
			}
			stranger.send(TypeHave, body)
			h := have{seq: uint64(time.Now().Unix())}
			binary.BigEndian.PutUint64(h.key[:], 1<<63+uint64(i))
			k.send(TypeHave, h.append(nil))
			synctest.Wait()
			select {
			case keys := <-wanted:
				if len(keys) != 1 || keys[0] != h.key.wildcard() {
					t.Errorf("%d keys are wanted", len(keys))
				}
			default:
				t.Errorf("what a listed relay announces is not asked for, after %d announcements of a stranger", made)
			}
			time.Sleep(500 * time.Millisecond)
		}
		if len(n.asked) > maxHave {
			t.Errorf("%d rumours remembered", len(n.asked))
		}
		stranger.close()
		k.close()
		<-wanted
	})
}

// TestAttackDrainedAnswers: who asks for more than a node gives out keeps others of
// his kind from answers, but circuits do not keep clients from snapshots, nor either
// of them relays.
func TestAttackDrainedAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := found(t, true, directory.JoinOpen, 1)
		m := newMesh(t)
		defer m.stop()
		n := m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
		check(t, n.AddSnapshot(f.snapshot(), f.log))
		doc := Document{Raw: make([]byte, smallDocument)}
		doc.Hash = sha256.Sum256(doc.Raw)
		ledger := Document{Raw: make([]byte, maxDocument/2)}
		ledger.Hash = sha256.Sum256(ledger.Raw)
		check(t, n.Keep(7, []Document{doc, ledger}))
		open := func(serve func(s Stream) error) *asker {
			p, s := net.Pipe()
			m.wg.Go(func() { _ = serve(s) })
			a, err := askStream(t.Context(), p, n.cfg.Self, f.id)
			check(t, err)
			return a
		}
		circuit := func(s Stream) error { return n.ServeRequest(m.ctx, s) }
		client := func(s Stream) error { return n.ServeLinkRequest(m.ctx, s, &Quota{}) }
		relay := func(s Stream) error { return n.ServeLinkRequest(m.ctx, s, nil) }
		drain := func(serve func(s Stream) error) {
			for {
				a := open(serve)
				var err error
				for range requestsPerStream {
					if _, err = a.document(doc.Hash); err != nil {
						break
					}
				}
				a.close()
				if err != nil {
					return
				}
			}
		}
		served := func(serve func(s Stream) error) bool {
			a := open(serve)
			defer a.close()
			raw, _, err := a.snapshot(0)
			return err == nil && len(raw) > 0
		}
		for range 3 {
			a := open(client)
			_, _ = a.document(ledger.Hash)
			a.close()
		}
		a := open(relay)
		if _, err := a.document(ledger.Hash); err != nil {
			t.Errorf("a signer that is behind gets no ledger: %v", err)
		}
		a.close()
		if n.Known(idOf("stranger")) || !n.Known(idOf("bootstrap")) {
			t.Error("strangers and bootstraps are taken for each other")
		}
		drain(circuit)
		if served(circuit) || !served(client) || !served(relay) {
			t.Error("circuits: ", served(circuit), ", clients: ", served(client), ", relays: ", served(relay))
		}
		drain(client)
		if !served(relay) {
			t.Error("clients keep relays from snapshots")
		}
		time.Sleep(time.Minute)
		if !served(circuit) || !served(client) {
			t.Error("nothing is answered a minute later")
		}
	})
}

// TestAttackWantAgain: made-up identities ask for all records again and again, on
// ever new streams. They get no more than their common share, and one no more than
// his own; a listed relay still gets what it lacks.
func TestAttackWantAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := found(t, true, directory.JoinToken, 1)
		m := newMesh(t)
		defer m.stop()
		n := m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
		listed := f.record("listed", 0)
		check(t, n.Publish(listed.Raw))
		check(t, n.AddSnapshot(f.snapshot(listed), f.log))
		size := 0
		var all []byte
		for i := range 120 {
			r := f.record(fmt.Sprint("relay ", i), i+1)
			check(t, n.Publish(r.Raw))
			k := directory.GossipKey(f.id, r.ID)
			all, size = append(all, k[:]...), size+len(r.Raw)
		}
		take := func(name string) int {
			k := talk(t, n, name, RoleRelay)
			var got atomic.Int64
			go func() {
				for r := (frameReader{r: k.Conn}); ; {
					msg, err := r.next()
					if err != nil {
						return
					}
					if msg.typ == TypeGive {
						got.Add(int64(len(msg.body)))
					}
				}
			}()
			for range fullSyncBytes/size + 100 {
				k.send(TypeWant, all)
			}
			k.close()
			return int(got.Load())
		}
		if got := take("stranger 0"); got < fullSyncBytes/2 || got > fullSyncBytes+fullSyncBytes/16 {
			t.Errorf("a stranger got %d bytes", got)
		}
		if got := take("stranger 0"); got > size {
			t.Errorf("a stranger got %d more bytes on a new stream", got)
		}
		sum := 0
		for i := range 4 {
			sum += take(fmt.Sprint("stranger ", i+1))
		}
		if sum > strangersGivenBurst {
			t.Errorf("others got %d bytes", sum)
		}
		if got := take("listed"); got < fullSyncBytes/2 {
			t.Errorf("a listed relay got %d bytes", got)
		}
	})
}
