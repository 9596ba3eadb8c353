package gossip

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/directory"
)

// signersOf makes a network of four signers and four bootstraps.
func signersOf(t testing.TB) *founder {
	return found(t, true, directory.JoinOpen, 1, func(f *directory.NetworkFile) {
		f.Signers = nil
		for i := range 4 {
			f.Signers = append(f.Signers, directory.FounderKey{Public: publicOf(testKey(fmt.Sprint("signer ", i))), Label: fmt.Sprint("founder ", i)})
		}
		slices.SortFunc(f.Signers, func(a, b directory.FounderKey) int { return bytes.Compare(a.Public[:], b.Public[:]) })
		for i := 1; i < 4; i++ {
			f.Bootstraps = append(f.Bootstraps, directory.Bootstrap{ID: idOf(fmt.Sprint("bootstrap ", i)).Prefix(), Addr: testAddr(99-i, true)})
		}
		slices.SortFunc(f.Bootstraps, func(a, b directory.Bootstrap) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	})
}

// cert certifies the online key of a signer, with a number.
func (f *founder) certify(i int, seq uint64) []byte {
	f.t.Helper()
	now := time.Unix(time.Now().Unix(), 0)
	raw, err := directory.Certificate{
		Online: publicOf(testKey("online")), NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(60 * 24 * time.Hour), Seq: seq,
	}.Sign(f.id, testKey(fmt.Sprint("signer ", i)))
	check(f.t, err)
	return raw
}

func (f *founder) seal(i int, seq uint64, doc []byte) *directory.SignerMessage {
	f.t.Helper()
	m, err := f.chain.ParseSignerMessage(directory.SealSignerMessage(f.certify(i, seq), doc), time.Now())
	check(f.t, err)
	return m
}

// epochIn is the number of the epoch in so many epochs of a lab.
func epochIn(n int) uint64 { return uint64(int(directory.EpochNumber(true, time.Now())) + n) }

// voteOf makes the vote of signer i for an epoch; what distinguishes two votes,
// and size relays make it large.
func (f *founder) voteOf(i int, epoch uint64, what byte, size int) *directory.SignerMessage {
	f.t.Helper()
	v := &directory.Vote{Signer: publicOf(testKey(fmt.Sprint("signer ", i))), Epoch: epoch, Previous: [32]byte{what, 1}}
	for k := range size {
		r := directory.RelayVote{Failures: directory.UnknownFailures}
		binary.BigEndian.PutUint64(r.Key[:], uint64(k))
		v.Relays = append(v.Relays, r)
	}
	doc, err := v.Sign(f.id, testKey("online"))
	check(f.t, err)
	return f.seal(i, 1, doc)
}

func (f *founder) echoOf(i int, epoch uint64, attempt uint8, what byte) *directory.SignerMessage {
	f.t.Helper()
	e := &directory.Echo{Signer: publicOf(testKey(fmt.Sprint("signer ", i))), Epoch: epoch, Attempt: attempt, Votes: [][32]byte{{what}}}
	if attempt > 0 {
		e.Header = [32]byte{what, 1}
	}
	doc, err := e.Sign(f.id, testKey("online"))
	check(f.t, err)
	return f.seal(i, 1, doc)
}

func (f *founder) cosignOf(i int, epoch uint64, what byte) *directory.SignerMessage {
	f.t.Helper()
	c := &directory.Cosign{Signer: publicOf(testKey(fmt.Sprint("signer ", i))), Epoch: epoch, Header: [32]byte{what}}
	doc, err := c.Sign(f.id, testKey("online"))
	check(f.t, err)
	return f.seal(i, 1, doc)
}

func holds(n *Node, m *directory.SignerMessage) bool {
	list, _ := n.Messages()
	return slices.ContainsFunc(list, func(o *directory.SignerMessage) bool { return bytes.Equal(o.Raw(), m.Raw()) })
}

// talker is the other end of a gossip stream, by hand.
type talker struct {
	t *testing.T
	net.Conn
	done chan error // what ServeGossip returned
}

// talk opens a gossip stream to a node and greets it.
func talk(t *testing.T, n *Node, name string, role Role) *talker {
	t.Helper()
	a, b := net.Pipe()
	k := &talker{t: t, Conn: a, done: make(chan error, 1)}
	go func() { k.done <- n.ServeGossip(context.Background(), idOf(name), b) }()
	h := hello{role: role, network: n.network, time: time.Now(), fileVersion: 1}
	k.send(TypeHello, h.append(nil))
	return k
}

// send writes a message while the node may write, too.
func (k *talker) send(typ Type, body []byte) {
	go func() { _, _ = k.Write(appendMessage(nil, typ, body)) }()
	synctest.Wait()
}

// hear reads messages until nothing comes for a second.
func (k *talker) hear() (list []message) {
	r := frameReader{r: k.Conn}
	for {
		_ = k.SetReadDeadline(time.Now().Add(time.Second))
		m, err := r.next()
		if err != nil {
			return list
		}
		list = append(list, m)
	}
}

func (k *talker) close() {
	_ = k.Close()
	<-k.done
}

// inBubble runs f in virtual time with a network of signers.
func inBubble(t *testing.T, f func(t *testing.T, f *founder, m *mesh)) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t)
		f(t, signersOf(t), m)
		m.stop()
	})
}

// TestSignersMeetAtBootstraps: two signers that nobody can dial hear each other
// through the bootstraps, and each message crosses to each node about once.
func TestSignersMeetAtBootstraps(t *testing.T) {
	inBubble(t, func(t *testing.T, f *founder, m *mesh) {
		boots := []*Node{m.add(f, "bootstrap", RoleDirectory), m.add(f, "bootstrap 1", RoleRelay)}
		signers := []*Node{m.add(f, "hidden 0", RoleDirectory), m.add(f, "hidden 1", RoleDirectory)}
		outside := m.add(f, "relay 0", RoleRelay)
		time.Sleep(5 * time.Second)
		list := []*directory.SignerMessage{f.voteOf(0, epochIn(1), 0, 5000), f.echoOf(0, epochIn(1), 0, 1), f.cosignOf(0, epochIn(1), 1)}
		for _, s := range list {
			_, changed := signers[1].Messages()
			signers[0].Post(s)
			<-changed
			synctest.Wait()
			for i, n := range append(boots, signers...) {
				if !holds(n, s) {
					t.Errorf("node %d does not hold what was posted", i)
				}
			}
		}
		if got, _ := outside.Messages(); len(got) != 0 {
			t.Errorf("an ordinary relay holds %d messages of signers", len(got))
		}
	})
}

// TestPartitionHealedByABootstrap: a signer that was cut off hears from a
// bootstrap what another one said that is gone now.
func TestPartitionHealedByABootstrap(t *testing.T) {
	inBubble(t, func(t *testing.T, f *founder, m *mesh) {
		boot := m.add(f, "bootstrap", RoleDirectory)
		m.setDown("hidden 1", true)
		a, b := m.add(f, "hidden 0", RoleDirectory), m.add(f, "hidden 1", RoleDirectory)
		time.Sleep(5 * time.Second)
		vote := f.voteOf(0, epochIn(1), 0, 10)
		a.Post(vote)
		time.Sleep(time.Second)
		synctest.Wait()
		if !holds(boot, vote) || holds(b, vote) {
			t.Fatal("the partition is none")
		}
		m.setDown("hidden 0", true)
		m.setDown("hidden 1", false)
		_, changed := b.Messages()
		began := time.Now()
		<-changed
		if took := time.Since(began); !holds(b, vote) || took > 6*time.Second {
			t.Errorf("heard after %v", took)
		}
	})
}

// TestBoardsKeepStreamsToBootstraps: in a network of more than 20 relays a listed
// relay keeps streams to some others, but if it is a bootstrap also to all
// bootstraps, as a signer's node does.
func TestBoardsKeepStreamsToBootstraps(t *testing.T) {
	inBubble(t, func(t *testing.T, f *founder, m *mesh) {
		nodes := map[string]*Node{
			"bootstrap 1": m.addQuiet(f, "bootstrap 1", RoleRelay, t.TempDir()),
			"relay 0":     m.addQuiet(f, "relay 0", RoleRelay, t.TempDir()),
			"hidden":      m.addQuiet(f, "hidden", RoleDirectory, t.TempDir()),
		}
		relays := []directory.Relay{{ID: idOf("bootstrap 1"), Addrs: []netip.AddrPort{testAddr(98, true)}}}
		for i := range 25 {
			relays = append(relays, directory.Relay{ID: idOf(fmt.Sprint("relay ", i)), Addrs: []netip.AddrPort{testAddr(i, true)}})
		}
		v := directory.InsecureView(f.id, true, time.Now(), relays)
		for name, n := range nodes {
			n.mu.Lock()
			n.view = v
			n.mu.Unlock()
			want := n.wanted(time.Now())
			boots := 0
			for _, b := range []string{"bootstrap", "bootstrap 2", "bootstrap 3"} {
				if _, ok := want[idOf(b).Prefix()]; ok {
					boots++
				}
			}
			if all := boots == 3; all != (name != "relay 0") {
				t.Errorf("%s keeps streams to %d of 3 bootstraps", name, boots)
			}
			if len(want) > 12 {
				t.Errorf("%s keeps %d streams", name, len(want))
			}
		}
	})
}

// TestAttackForgedSignerMessages: whoever gives one that does not verify is
// refused, and nothing of it is held.
func TestAttackForgedSignerMessages(t *testing.T) {
	inBubble(t, func(t *testing.T, f *founder, m *mesh) {
		n := m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
		vote := f.voteOf(0, epochIn(1), 0, 3)
		flip := func(at int) []byte {
			b := bytes.Clone(vote.Raw())
			b[at] ^= 1
			return b
		}
		other := found(t, true, directory.JoinOpen, 9)
		echo := &directory.Echo{Signer: publicOf(testKey("signer 0")), Epoch: epochIn(1)}
		doc, err := echo.Sign(other.id, testKey("online"))
		check(t, err)
		stolen, err := (&directory.Echo{Signer: publicOf(testKey("signer 0")), Epoch: epochIn(1)}).Sign(f.id, testKey("another key"))
		check(t, err)
		size := len(vote.Raw())
		for name, c := range map[string]struct {
			typ Type
			raw []byte
		}{
			"signature of the vote":        {TypeVote, flip(size - 1)},
			"body of the vote":             {TypeVote, flip(size - 100)},
			"signature of the certificate": {TypeVote, flip(2 + len(vote.RawCertificate) - 1)},
			"cut":                          {TypeVote, vote.Raw()[:size-1]},
			"longer":                       {TypeVote, append(bytes.Clone(vote.Raw()), 0)},
			"a vote as an echo":            {TypeEcho, vote.Raw()},
			"of another network":           {TypeEcho, directory.SealSignerMessage(f.certify(0, 1), doc)},
			"by another key":               {TypeEcho, directory.SealSignerMessage(f.certify(0, 1), stolen)},
			"empty":                        {TypeCosign, nil},
		} {
			k := talk(t, n, name, RoleDirectory)
			k.send(c.typ, c.raw)
			heard := k.hear()
			k.close()
			if len(heard) == 0 || heard[len(heard)-1].typ != TypeBye {
				t.Errorf("%s: the stream goes on", name)
			}
			if !n.limits.refused(idOf(name), time.Now()) {
				t.Errorf("%s: the peer is not refused", name)
			}
			if list, _ := n.Messages(); len(list) != 0 {
				t.Fatalf("%s: held", name)
			}
		}
	})
}

// TestAttackSignerMessageReplay: what signers said long ago is refused with the
// peer, what may be a matter of clocks only dropped; of both nothing is held.
func TestAttackSignerMessageReplay(t *testing.T) {
	inBubble(t, func(t *testing.T, f *founder, m *mesh) {
		n := m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
		old := f.voteOf(0, epochIn(1), 0, 3)
		fresh := f.voteOf(0, epochIn(360), 0, 3) // an hour ahead
		time.Sleep(time.Hour)
		late, early := f.voteOf(1, epochIn(-5), 0, 3), f.voteOf(1, epochIn(5), 0, 3)
		for _, c := range []struct {
			name    string
			m       *directory.SignerMessage
			refused bool
			held    bool
		}{
			{"an hour old", old, true, false},
			{"50 s old", late, false, false},
			{"50 s early", early, false, false},
			{"days early", f.voteOf(2, epochIn(20000), 0, 3), true, false},
			{"now", fresh, false, true},
			{"again", fresh, false, true},
		} {
			k := talk(t, n, c.name, RoleDirectory)
			k.send(TypeVote, c.m.Raw())
			k.hear()
			k.close()
			if got := n.limits.refused(idOf(c.name), time.Now()); got != c.refused {
				t.Errorf("%s: peer refused %v", c.name, got)
			}
			if holds(n, c.m) != c.held {
				t.Errorf("%s: held %v", c.name, !c.held)
			}
		}
		if list, _ := n.Messages(); len(list) != 1 {
			t.Errorf("%d messages held", len(list))
		}
		time.Sleep(31 * time.Second)
		if list, _ := n.Messages(); len(list) != 0 {
			t.Errorf("%d messages held two epochs later", len(list))
		}
	})
}

// TestAttackSignerFloodsBoard: a signer that signs without end fills its own
// share and no more; the others are heard.
func TestAttackSignerFloodsBoard(t *testing.T) {
	inBubble(t, func(t *testing.T, f *founder, m *mesh) {
		n := m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
		for i := range 40 {
			relays := 40_000
			if i >= 8 { // by then the bytes are used up
				relays = 10
			}
			n.Post(f.voteOf(0, epochIn(i%5-2), byte(i), relays))
			n.Post(f.echoOf(0, epochIn(0), byte(i), 0))
			n.Post(f.echoOf(0, epochIn(0), 0, byte(i)))
			n.Post(f.cosignOf(0, epochIn(1), byte(i+1)))
			n.Post(f.echoOf(0, epochIn(i%4-1), byte(i), byte(i)))
		}
		size, votes, echoes, cosigns := 0, map[uint64]int{}, map[uint64]int{}, map[uint64]int{}
		list, _ := n.Messages()
		for _, s := range list {
			size += len(s.Raw())
			switch {
			case s.Vote != nil:
				votes[s.Epoch()]++
			case s.Echo != nil:
				echoes[s.Epoch()]++
			default:
				cosigns[s.Epoch()]++
			}
		}
		if size > boardBytes || len(list) > boardMessages {
			t.Errorf("%d messages with %d bytes", len(list), size)
		}
		for e, k := range votes {
			if k > 2 {
				t.Errorf("%d votes for epoch %d", k, e)
			}
		}
		for e, k := range echoes {
			if k > 16 {
				t.Errorf("%d echoes for epoch %d", k, e)
			}
		}
		if cosigns[epochIn(1)] != 2 {
			t.Errorf("%d partial signatures for an epoch", cosigns[epochIn(1)])
		}
		for i := 1; i < 4; i++ {
			v := f.voteOf(i, epochIn(1), 0, 1000)
			if n.Post(v); !holds(n, v) {
				t.Errorf("signer %d is not heard", i)
			}
		}
	})
}

// TestAttackStrangersDrainTheBoard: made-up identities that ask for everything
// again and again get no more than their common share.
func TestAttackStrangersDrainTheBoard(t *testing.T) {
	inBubble(t, func(t *testing.T, f *founder, m *mesh) {
		n := m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
		var ids []boardID
		for i := range 4 {
			n.Post(f.voteOf(i, epochIn(2), 0, 40_000))
		}
		for _, p := range n.board.list() {
			ids = append(ids, p.id)
		}
		got := 0
		began := time.Now()
		for i := range 12 {
			k := talk(t, n, fmt.Sprint("stranger ", i), RoleDirectory)
			k.send(TypeBoard, appendBoard(nil, boardWant, ids))
			for _, m := range k.hear() {
				if m.typ == TypeVote {
					got += len(m.body)
				}
			}
			k.close()
		}
		if most := strangerBurst + int(time.Since(began).Seconds())*boardRate; got > most || got < strangerBurst/2 {
			t.Errorf("strangers got %d bytes, their share is %d", got, most)
		}
		// A bootstrap still gets all.
		k := talk(t, n, "bootstrap 1", RoleRelay)
		k.send(TypeBoard, appendBoard(nil, boardWant, ids))
		votes := 0
		for _, m := range k.hear() {
			if m.typ == TypeVote {
				votes++
			}
		}
		k.close()
		if votes != 4 {
			t.Errorf("a bootstrap got %d of 4 votes", votes)
		}
	})
}

// TestAttackPeerFloodsBoard: what a peer sends beyond its share is not looked at,
// and what is known costs a hash.
func TestAttackPeerFloodsBoard(t *testing.T) {
	inBubble(t, func(t *testing.T, f *founder, m *mesh) {
		n := m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
		known := f.voteOf(0, epochIn(2), 0, 40_000)
		n.Post(known)
		k := talk(t, n, "flooder", RoleDirectory)
		go func() { _, _ = io.Copy(io.Discard, k) }()
		for range 60 { // 77 MB: more than a peer may send of new ones
			k.send(TypeVote, known.Raw())
		}
		v := f.voteOf(1, epochIn(2), 0, 10)
		if k.send(TypeVote, v.Raw()); !holds(n, v) {
			t.Error("what is known counts as new")
		}
		n.board.mu.Lock()
		left := n.board.peers[idOf("flooder")].in.Tokens()
		n.board.peers[idOf("flooder")].in.AllowN(time.Now(), int(left))
		n.board.mu.Unlock()
		w := f.voteOf(2, epochIn(2), 0, 3000)
		if k.send(TypeVote, w.Raw()); holds(n, w) {
			t.Error("taken beyond the share")
		}
		k.close()
		if n.limits.refused(idOf("flooder"), time.Now()) {
			t.Error("a peer is refused for messages that are valid")
		}
		// Another one brings it.
		k = talk(t, n, "another", RoleDirectory)
		if k.send(TypeVote, w.Raw()); !holds(n, w) {
			t.Error("not taken from another peer")
		}
		k.close()
	})
}

// TestOrdinaryRelaysKeepNoBoard: they are told nothing, and what they are given
// they neither hold nor pass on.
func TestOrdinaryRelaysKeepNoBoard(t *testing.T) {
	inBubble(t, func(t *testing.T, f *founder, m *mesh) {
		n := m.addQuiet(f, "relay 0", RoleRelay, t.TempDir())
		k := talk(t, n, "bootstrap", RoleDirectory)
		vote := f.voteOf(0, epochIn(1), 0, 3)
		k.send(TypeBoard, appendBoard(nil, boardHave, []boardID{{1}}))
		k.send(TypeVote, vote.Raw())
		for _, m := range k.hear() {
			if m.typ != TypeHello && m.typ != TypeRanges {
				t.Errorf("it said %#x", byte(m.typ))
			}
		}
		if holds(n, vote) {
			t.Error("it holds a vote")
		}
		k.close()

		boot := m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
		boot.Post(vote)
		k = talk(t, boot, "relay 1", RoleRelay)
		k.send(TypeBoard, appendBoard(nil, boardWant, []boardID{boot.board.list()[0].id}))
		for _, m := range k.hear() {
			if m.typ == TypeBoard || m.typ == TypeVote {
				t.Error("a relay was told of the board")
			}
		}
		k.close()
	})
}

// TestTwoVotesAreEvidence.
func TestTwoVotesAreEvidence(t *testing.T) {
	inBubble(t, func(t *testing.T, f *founder, m *mesh) {
		n := m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
		n.Post(f.voteOf(0, epochIn(1), 0, 3))
		n.Post(f.voteOf(0, epochIn(2), 1, 3))
		if len(n.Evidence()) != 0 {
			t.Fatal("votes for two epochs are no evidence")
		}
		n.Post(f.voteOf(0, epochIn(1), 1, 3))
		list := n.Evidence()
		if len(list) != 1 || list[0].Kind() != directory.EvidenceVotes || list[0].Culprits()[0].Label != "founder 0" {
			t.Errorf("%v", list)
		}
	})
}

// TestReplacedKeyIsNotHeard: after a signer has certified another online key, the
// old one, which may be stolen, says nothing any more.
func TestReplacedKeyIsNotHeard(t *testing.T) {
	inBubble(t, func(t *testing.T, f *founder, m *mesh) {
		n := m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
		e := &directory.Echo{Signer: publicOf(testKey("signer 0")), Epoch: epochIn(1)}
		doc, err := e.Sign(f.id, testKey("online"))
		check(t, err)
		n.Post(f.seal(0, 7, doc))
		old := f.voteOf(0, epochIn(1), 0, 3) // number 1
		k := talk(t, n, "hidden 0", RoleDirectory)
		k.send(TypeVote, old.Raw())
		k.close()
		if holds(n, old) || n.limits.refused(idOf("hidden 0"), time.Now()) {
			t.Error("held, or the peer blamed")
		}
	})
}

// TestLargeVotesDoNotStarveAStream: over a slow link votes take minutes, in
// frames that each have their time; rumours come between them.
func TestLargeVotesDoNotStarveAStream(t *testing.T) {
	inBubble(t, func(t *testing.T, f *founder, m *mesh) {
		n := m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
		k := talk(t, n, "bootstrap 1", RoleDirectory)
		const votes = 3
		for i := range votes {
			n.Post(f.voteOf(i, epochIn(2), 0, 50_000))
		}
		n.Post(f.echoOf(3, epochIn(2), 0, 0))
		n.Tell(idOf("bootstrap 1"), VerdictUnreachable)
		var order []Type
		slow := &slowReader{k.Conn, 16 << 10}
		r := frameReader{r: slow}
		for range 2 + votes + 1 {
			m, err := r.next()
			check(t, err)
			if m.typ == TypeHave || m.typ == TypeRanges {
				continue
			}
			order = append(order, m.typ)
			if len(order) == 3 {
				n.Tell(idOf("bootstrap 1"), VerdictHeld)
			}
		}
		k.close()
		want := []Type{TypeHello, TypeVote, TypeVerdict, TypeEcho, TypeVote, TypeVote}
		if i := slices.Index(order, TypeVerdict); i < 0 || i > 2 || slices.Index(order, TypeEcho) > 3 {
			t.Errorf("the order is %x, not about %x", order, want)
		}
	})
}

// slowReader reads so many bytes a second.
type slowReader struct {
	r    io.Reader
	rate int
}

func (s *slowReader) Read(p []byte) (int, error) {
	n, err := s.r.Read(p[:min(len(p), s.rate)])
	time.Sleep(time.Duration(n) * time.Second / time.Duration(s.rate))
	return n, err
}

// TestNextAnnouncerIsAsked: who announces what it does not give delays a message
// by two seconds.
func TestNextAnnouncerIsAsked(t *testing.T) {
	inBubble(t, func(t *testing.T, f *founder, m *mesh) {
		n := m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
		vote := f.voteOf(0, epochIn(1), 0, 3)
		other := m.addQuiet(f, "bootstrap 1", RoleDirectory, t.TempDir())
		other.Post(vote)
		id := other.board.list()[0].id
		silent, honest := talk(t, n, "silent", RoleDirectory), talk(t, n, "bootstrap 1", RoleDirectory)
		go func() { _, _ = io.Copy(io.Discard, silent) }()
		silent.send(TypeBoard, appendBoard(nil, boardHave, []boardID{id}))
		began := time.Now()
		honest.send(TypeBoard, appendBoard(nil, boardHave, []boardID{id}))
		r := frameReader{r: honest}
		for {
			_ = honest.SetReadDeadline(time.Now().Add(time.Minute))
			m, err := r.next()
			check(t, err)
			if m.typ == TypeBoard {
				break
			}
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("asked after %v", took)
		}
		honest.send(TypeVote, vote.Raw())
		if !holds(n, vote) {
			t.Error("not held")
		}
		silent.close()
		honest.close()
	})
}

func FuzzParseBoard(f *testing.F) {
	f.Add(appendBoard(nil, boardHave, []boardID{{1}, {2}}))
	f.Add(appendBoard(nil, boardWant, []boardID{{7}}))
	f.Add([]byte{2})
	f.Fuzz(func(t *testing.T, b []byte) {
		mode, ids, err := parseBoard(b)
		if err != nil {
			if !errors.Is(err, errTruncated) {
				t.Error(err)
			}
			return
		}
		if !bytes.Equal(appendBoard(nil, mode, ids), b) {
			t.Error("it does not encode to what it was read from")
		}
	})
}
