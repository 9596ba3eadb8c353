package circuit

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"hearsay/circuit/cell"
	"hearsay/circuit/credit"
)

// TestCreditIsNeverExceeded: without SENDME at most a window goes out, and each
// SENDME with the right tag allows 32 cells more.
func TestCreditIsNeverExceeded(t *testing.T) {
	r := newRig(t, 4)
	s := r.mailbox() // uses up one credit
	send := func() error {
		m := cell.Message{Command: cell.MailboxFirst, Stream: s.id, Data: zero[:]}
		return r.c.send(canceled(), s.hop, m, false, nil, nil)
	}
	var tags [][]byte
	count := 1
	for range cell.CreditInitial - 1 {
		if err := send(); err != nil {
			t.Fatal(err)
		}
	}
	for _, g := range r.sent() {
		if count++; count%cell.CreditStep == 0 {
			tags = append(tags, append([]byte(nil), g.tag[:]...))
		}
	}
	if count != cell.CreditInitial || len(tags) != 2 {
		t.Fatalf("%d cells, %d tags", count, len(tags))
	}
	if err := send(); !errors.Is(err, context.Canceled) {
		t.Fatalf("sent beyond the credit: %v", err)
	}
	r.must(3, cell.Message{Command: cell.SendMe, Data: tags[0]})
	for range cell.CreditStep {
		if err := send(); err != nil {
			t.Fatal(err)
		}
	}
	if err := send(); !errors.Is(err, context.Canceled) {
		t.Fatalf("sent beyond the credit: %v", err)
	}
	// Other hops have credit of their own.
	if err := r.c.send(canceled(), 1, cell.Message{Command: cell.Echo, Data: zero[:]}, false, nil, nil); err != nil {
		t.Fatal(err)
	}
}

// TestWrongSendMeTagDestroys: an acknowledgement proves receipt, or else a
// relay could make the client send without ever reading (optimistic SENDME).
func TestWrongSendMeTagDestroys(t *testing.T) {
	r := newRig(t, 4)
	s := r.mailbox()
	for range cell.CreditStep - 1 {
		r.queue(s, zero[:])
	}
	list := r.sent()
	right := list[len(list)-1].tag
	wrong := right
	wrong[15] ^= 1
	if err := r.from(3, cell.Message{Command: cell.SendMe, Data: wrong[:]}); !isViolation(err) {
		t.Fatalf("accepted: %v", err)
	}
}

// TestSendMeFromTheWrongHop: the tag of one hop serves no other.
func TestSendMeFromTheWrongHop(t *testing.T) {
	r := newRig(t, 4)
	s := r.mailbox()
	for range cell.CreditStep - 1 {
		r.queue(s, zero[:])
	}
	list := r.sent()
	tag := list[len(list)-1].tag
	if err := r.from(2, cell.Message{Command: cell.SendMe, Data: tag[:]}); !isViolation(err) {
		t.Fatalf("accepted: %v", err)
	}
}

// TestPeerMayNotExceedCredit: nothing is consumed, so the relay runs dry.
func TestPeerMayNotExceedCredit(t *testing.T) {
	r := newRig(t, 4)
	s := r.mailbox()
	m := cell.Message{Command: cell.MailboxFirst, Stream: s.id, Data: zero[:]}
	for range cell.CreditMax {
		r.must(3, m)
	}
	if err := r.from(3, m); !isViolation(err) {
		t.Fatalf("accepted: %v", err)
	}
}

// TestAttackFloodBehindAStalledGuard: a guard that takes nothing and a hop that
// sends on a stream whose user is gone cannot make the client queue SENDMEs
// without end. Credit counts as given when its SENDME is on the way, not before.
func TestAttackFloodBehindAStalledGuard(t *testing.T) {
	r := newRig(t, 4)
	s := r.mailbox()
	r.sent()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	m := cell.Message{Command: cell.MailboxFirst, Stream: s.id, Data: zero[:]}
	for range cell.CreditMax {
		r.must(3, m)
	}
	if err := r.from(3, m); !isViolation(err) {
		t.Fatalf("accepted, with %d messages waiting: %v", r.c.out.n, err)
	}
}

// TestSendMeFollowsConsumption: SENDME goes out for cells that were taken, with
// the tag of the 32nd as it was received.
func TestSendMeFollowsConsumption(t *testing.T) {
	r := newRig(t, 4)
	s := r.mailbox()
	var tags [][16]byte
	for i := range 3 * cell.CreditStep {
		r.must(3, cell.Message{Command: cell.MailboxFirst, Stream: s.id, Data: []byte{byte(i)}})
		if (i+1)%cell.CreditStep == 0 {
			tags = append(tags, r.layers[3].BackwardTag())
		}
	}
	if n := len(r.sent()); n != 0 {
		t.Fatalf("%d messages before anything was taken", n)
	}
	for i := range 3 * cell.CreditStep {
		m, err := s.Recv(t.Context())
		if err != nil || m.Data[0] != byte(i) {
			t.Fatalf("message %d: %v %v", i, m.Data, err)
		}
		list := r.sent()
		if (i+1)%cell.CreditStep != 0 {
			if len(list) != 0 {
				t.Fatalf("SENDME after %d", i+1)
			}
			continue
		}
		want := tags[i/cell.CreditStep]
		if len(list) != 1 || list[0].m.Command != cell.SendMe || list[0].hop != 3 || !bytes.Equal(list[0].m.Data, want[:]) {
			t.Fatalf("after %d: %+v", i+1, list)
		}
	}
}

// TestClosedStreamGivesCreditBack: what still comes on a closed stream is
// taken, so that other streams of the hop do not starve.
func TestClosedStreamGivesCreditBack(t *testing.T) {
	r := newRig(t, 4)
	s := r.mailbox()
	for range cell.CreditStep / 2 {
		r.must(3, cell.Message{Command: cell.MailboxFirst, Stream: s.id})
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	list := r.sent()
	if len(list) != 1 || list[0].m.Command != cell.End {
		t.Fatalf("after Close: %+v", list)
	}
	for range cell.CreditStep / 2 {
		r.must(3, cell.Message{Command: cell.MailboxFirst, Stream: s.id})
	}
	if list = r.sent(); len(list) != 1 || list[0].m.Command != cell.SendMe {
		t.Fatalf("after more cells: %+v", list)
	}
}

// TestXOff: a stream of which nobody reads stops its sender, and starts it
// again.
func TestXOff(t *testing.T) {
	r := newRig(t, 4)
	s := r.directory(true)
	for range xoffAt {
		r.must(3, cell.Message{Command: cell.Data, Stream: s.id, Data: zero[:8]})
	}
	if list := r.sent(); len(list) != 1 || list[0].m.Command != cell.XOff {
		t.Fatalf("sent %+v", list)
	}
	read := make([]byte, 8*(xoffAt-xonAt))
	if _, err := io.ReadFull((*directoryStream)(s), read); err != nil {
		t.Fatal(err)
	}
	xon := 0
	for _, g := range r.sent() {
		if g.m.Command == cell.XOn {
			xon++
		}
	}
	if xon != 1 {
		t.Fatalf("%d XON", xon)
	}
}

// TestPeerXOffStopsWriting: paused streams wait without using up credit.
func TestPeerXOffStopsWriting(t *testing.T) {
	r := newRig(t, 4)
	s := r.directory(true)
	r.must(3, cell.Message{Command: cell.XOff, Stream: s.id})
	done := make(chan error, 1)
	go func() {
		_, err := (*directoryStream)(s).Write([]byte("hello"))
		done <- err
	}()
	if n := len(r.sent()); n != 0 {
		t.Fatalf("sent %d while paused", n)
	}
	r.must(3, cell.Message{Command: cell.XOn, Stream: s.id})
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if list := r.sent(); len(list) != 1 || string(list[0].m.Data) != "hello" {
		t.Fatalf("sent %+v", list)
	}
}

// TestDirectoryStreamEnds: END is the end of what was sent before.
func TestDirectoryStreamEnds(t *testing.T) {
	r := newRig(t, 3)
	s := r.directory(true)
	r.must(2, cell.Message{Command: cell.Data, Stream: s.id, Data: []byte("all")})
	r.must(2, cell.Message{Command: cell.End, Stream: s.id, Data: endDone})
	b, err := io.ReadAll((*directoryStream)(s))
	if err != nil || string(b) != "all" {
		t.Fatalf("%q %v", b, err)
	}
	if _, err := (*directoryStream)(s).Write([]byte("x")); err == nil {
		t.Fatal("wrote after END")
	}
	s.close()
	if n := len(r.sent()); n != 0 {
		t.Fatalf("%d messages after END", n)
	}
	if len(r.c.streams) != 0 {
		t.Fatal("the stream is still known")
	}
}

// TestEchoAnswers: replies match in order, and BUSY is an answer.
func TestEchoAnswers(t *testing.T) {
	r := newRig(t, 3)
	data := make([]byte, cell.DataSize)
	data[0] = 7
	results := make(chan error, 2)
	echo := func() {
		_, err := r.c.Echo(t.Context(), 2, data)
		results <- err
	}
	go echo()
	<-r.c.wake
	r.must(2, cell.Message{Command: cell.EchoReply, Data: r.sent()[0].m.Data})
	if err := <-results; err != nil {
		t.Fatal(err)
	}
	go echo()
	<-r.c.wake
	r.sent()
	r.must(2, cell.Message{Command: cell.EchoBusy, Data: []byte{0, 9}})
	var busy *BusyError
	if err := <-results; !errors.As(err, &busy) || busy.RetryAfter.Seconds() != 9 {
		t.Fatalf("got %v", err)
	}
}

// TestEchoWithOtherBytesDestroys: a relay may not answer with data of its own.
func TestEchoWithOtherBytesDestroys(t *testing.T) {
	r := newRig(t, 3)
	go r.c.Echo(t.Context(), 2, bytes.Repeat([]byte{1}, cell.DataSize))
	<-r.c.wake
	r.sent()
	err := r.from(2, cell.Message{Command: cell.EchoReply, Data: zero[:]})
	if !isViolation(err) {
		t.Fatalf("accepted: %v", err)
	}
	r.c.fail(err)
}

// TestStreamLimit bounds what a circuit remembers.
func TestStreamLimit(t *testing.T) {
	r := newRig(t, 3)
	for range maxStreams {
		if _, err := r.c.newStream(false); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.c.newStream(false); err == nil {
		t.Fatal("one stream too many")
	}
}

// TestCreditConstantsAgree: the option of the handshake and the window are
// specified in two places.
func TestCreditConstantsAgree(t *testing.T) {
	if cell.CreditStep != credit.Step || cell.CreditMin != credit.Min || cell.CreditInitial != credit.Initial || cell.CreditMax != credit.Max {
		t.Error("circuit/cell and circuit/credit disagree")
	}
}
