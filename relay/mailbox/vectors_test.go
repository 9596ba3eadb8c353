package mailbox

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"hearsay/directory"
)

// parsers parse the data of each command and encode it again.
var parsers = map[string]func(d []byte) ([]byte, error){
	"OPEN":        again(ParseOpen, Open.Append),
	"HELLO":       again(ParseHello, Hello.Append),
	"NEW":         again(ParseNew, New.Append),
	"SUB":         again(ParseSub, Sub.Append),
	"MSG":         again(ParseMsg, (*Msg).Append),
	"ACK":         again(ParseAck, Ack.Append),
	"SEND":        again(ParseSend, (*Send).Append),
	"OK":          again(ParseOK, OK.Append),
	"OK-NEW":      again(ParseOKNew, OKNew.Append),
	"OK-SUB":      again(ParseOKSub, OKSub.Append),
	"OK-SEND":     again(ParseOKSend, OKSend.Append),
	"ERR":         again(ParseErr, Err.Append),
	"LIST":        again(ParseList, List.Append),
	"IDS":         again(ParseIDs, IDs.Append),
	"SETLINK":     again(ParseSetLink, (*SetLink).Append),
	"GETLINK":     again(ParseGetLink, GetLink.Append),
	"LINK":        again(ParseLink, (*Link).Append),
	"WORK":        again(ParseWork, Work.Append),
	"ROTCAP":      again(ParseRotCap, RotCap.Append),
	"DEL":         again(ParseDel, Del.Append),
	"END":         again(ParseEnd, End.Append),
	"PUT":         again(ParsePut, (*Put).Append),
	"GET":         again(ParseGet, Get.Append),
	"RECORD":      again(ParseRecordPart, (*RecordPart).Append),
	"CERTIFICATE": again(ParseCertificate, Certificate.Append),
	"RECEIPT": again(ParseReceipt, func(r Receipt, b []byte) []byte {
		return r.Append(b)
	}),
}

func again[T any](parse func([]byte) (T, error), encode func(T, []byte) []byte) func([]byte) ([]byte, error) {
	return func(d []byte) ([]byte, error) {
		m, err := parse(d)
		if err != nil {
			return nil, err
		}
		return encode(m, nil), nil
	}
}

func fill[T ~[]byte](b T, from byte) T {
	for i := range b {
		b[i] = from + byte(i)
	}
	return b
}

func filled32(from byte) [32]byte { return [32]byte(fill(make([]byte, 32), from)) }
func filledID(from byte) (id [IDSize]byte) {
	fill(id[:], from)
	return id
}

// goldenWorld makes the values that the vectors are computed from.
type goldenWorld struct {
	network  directory.NetworkID
	identity ed25519.PrivateKey
	custody  ed25519.PrivateKey
	owner    ed25519.PrivateKey
	auth     Auth
	cap      [32]byte
	block    [BlockSize]byte
	now      time.Time
}

func newGoldenWorld() *goldenWorld {
	seed := func(from byte) ed25519.PrivateKey {
		s := filled32(from)
		return ed25519.NewKeyFromSeed(s[:])
	}
	w := &goldenWorld{
		network: directory.NetworkID(filled32(1)), identity: seed(2), custody: seed(3), owner: seed(4),
		cap: filled32(5), now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}
	fill(w.block[:], 6)
	w.auth = Auth{Network: w.network, Relay: directory.RelayID(w.identity.Public().(ed25519.PublicKey)), Nonce: filled32(7), Counter: 1}
	return w
}

func (w *goldenWorld) vectors() []string {
	var out []string
	add := func(name string, d []byte) {
		out = append(out, fmt.Sprintf("ok %s %x", name, d))
		bad := func(d []byte) { out = append(out, fmt.Sprintf("malformed %s %x", name, d)) }
		bad(d[:len(d)-1])
		bad(append(bytes.Clone(d), 0))
	}
	flip := func(name string, d []byte, at int) {
		d = bytes.Clone(d)
		d[at] ^= 0x80
		out = append(out, fmt.Sprintf("malformed %s %x", name, d))
	}
	pub := [32]byte(w.owner.Public().(ed25519.PublicKey))
	rid := RIDOf(pub)
	sid := sidOf(filled32(8), rid)
	id := MessageID(fill(make([]byte, 8), 9))
	cert := SignCertificate(w.network, w.identity, [32]byte(w.custody.Public().(ed25519.PublicKey)), w.now)

	d := Open{Version: 1}.Append(nil)
	add("OPEN", d)
	flip("OPEN", d, 3)
	d = Hello{Window: 16, WorkBits: 20, Nonce: w.auth.Nonce, Custody: cert}.Append(nil)
	add("HELLO", d)
	add("HELLO", Hello{Draining: true, Window: 16, WorkBits: 20, Nonce: w.auth.Nonce, Custody: cert}.Append(nil))
	flip("HELLO", d, 1)
	n := New{Kind: KindInvite, TTL: 168, RPK: pub, Cap: w.cap, LID: LID(filledID(10))}
	n.Work, _ = FindWork(nil, w.auth.Nonce, rid, 12)
	w.auth.SignNew(&n, w.owner)
	d = n.Append(nil)
	add("NEW", d)
	flip("NEW", d, 1)
	s := Sub{RID: rid, After: 7, Window: 16, Push: true}
	w.auth.SignSub(&s, w.owner)
	d = s.Append(nil)
	add("SUB", d)
	flip("SUB", d, 33)
	flip("SUB", d, 35)
	d = (&Msg{RID: rid, Seq: 8, Backlog: 3, Block: w.block}).Append(nil)
	add("MSG", d)
	add("MSG", (&Msg{RID: rid, Seq: 8, Work: 22, Block: w.block}).Append(nil))
	for _, at := range []int{35, 47} {
		flip("MSG", d, at)
	}
	add("ACK", Ack{RID: rid, Seq: 8}.Append(nil))
	send := &Send{SID: sid, ID: id, Block: w.block}
	w.auth.SealSend(send, w.cap)
	add("SEND", send.Append(nil))
	for _, c := range []Command{CmdSetLink, CmdWork, CmdRotCap, CmdDel, CmdPut} {
		add("OK", OK{Command: c}.Append(nil))
	}
	d = OKNew{Capacity: 64, TTL: 168, RID: rid, SID: sid}.Append(nil)
	add("OK-NEW", d)
	flip("OK-NEW", d, 1)
	flip("OK-NEW", d, 7)
	d = OKSub{RID: rid, Lowest: 8, Next: 12, Opens: 1}.Append(nil)
	add("OK-SUB", d)
	flip("OK-SUB", d, 47)
	receipt := NewReceipt(w.auth.Relay, cert, send, OKSend{ID: id, Stored: 490000, Until: 490504})
	receipt.sign(w.network, w.custody)
	d = OKSend{ID: id, Stored: receipt.Stored, Until: receipt.Until, Receipt: receipt.Sig}.Append(nil)
	add("OK-SEND", d)
	flip("OK-SEND", d, 2)
	add("RECEIPT", receipt.Append(nil))
	add("CERTIFICATE", cert.Append(nil))
	add("ERR", Err{Command: CmdSend, Code: CodeQuota, Reference: id}.Append(nil))
	add("ERR", Err{Command: CmdNew, Code: CodeWork, Argument: 20}.Append(nil))
	add("ERR", Err{Command: CmdSend, Code: CodeWork, Argument: 23, Reference: id}.Append(nil))
	flip("ERR", Err{Command: CmdNew, Code: CodeAuth}.Append(nil), 3)
	flip("ERR", Err{Command: CmdNew, Code: CodeAuth}.Append(nil), 8)
	add("LIST", List{RID: rid, After: 7}.Append(nil))
	d = IDs{RID: rid, First: 8, IDs: []MessageID{id, {1}, {2}}}.Append(nil)
	add("IDS", d)
	flip("IDS", d, 40)
	add("IDS", IDs{RID: rid}.Append(nil))
	d = (&SetLink{RID: rid, Part: 1, Chunk: w.block}).Append(nil)
	add("SETLINK", d)
	flip("SETLINK", d, 24)
	flip("SETLINK", d, 30)
	add("GETLINK", GetLink{LID: n.LID, Reader: filled32(11)}.Append(nil))
	d = (&Link{Part: 0, Opens: 1, Chunk: w.block}).Append(nil)
	add("LINK", d)
	flip("LINK", d, 1)
	flip("LINK", d, 20)
	d = Work{SID: sid, Bits: 22, Counter: 99}.Append(nil)
	add("WORK", d)
	flip("WORK", d, 26)
	r := RotCap{RID: rid, Cap: filled32(12)}
	w.auth.SignRotCap(&r, w.owner)
	add("ROTCAP", r.Append(nil))
	del := Del{RID: rid}
	w.auth.SignDel(&del, w.owner)
	add("DEL", del.Append(nil))
	d = End{RID: rid, Reason: EndTakenOver}.Append(nil)
	add("END", d)
	flip("END", d, 31)
	flip("END", d, 24)
	chunk := [RecordChunk]byte(w.block[:])
	add("PUT", (&Put{Part: 0, Chunk: chunk}).Append(nil))
	d = (&Put{Part: 2, Work: 99, Chunk: chunk}).Append(nil)
	add("PUT", d)
	for _, at := range []int{0, 1, 2, 7} {
		flip("PUT", d, at)
	}
	flip("PUT", (&Put{Part: 1, Chunk: chunk}).Append(nil), 15)
	add("GET", Get{Key: directory.BlindedKey(filled32(13)), Period: 20000}.Append(nil))
	d = (&RecordPart{Part: 1, Chunk: chunk}).Append(nil)
	add("RECORD", d)
	for _, at := range []int{0, 1, 2, 15} {
		flip("RECORD", d, at)
	}
	return out
}

func TestVectors(t *testing.T) {
	const path = "testdata/commands.txt"
	want := strings.Join(newGoldenWorld().vectors(), "\n") + "\n"
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("the golden vectors changed; run with -update if that is meant")
	}
	seen := make(map[string]bool)
	for line := range strings.Lines(string(got)) {
		f := strings.Fields(line)
		d, err := hex.DecodeString(f[2])
		if err != nil {
			t.Fatal(err)
		}
		seen[f[1]] = true
		enc, err := parsers[f[1]](d)
		switch {
		case f[0] == "malformed" && err == nil:
			t.Errorf("%s: accepted malformed %x", f[1], d)
		case f[0] == "ok" && (err != nil || !bytes.Equal(enc, d)):
			t.Errorf("%s: %v", f[1], err)
		}
	}
	if len(seen) != len(parsers) {
		t.Errorf("vectors for %d of %d formats", len(seen), len(parsers))
	}
}

// TestVectorsVerify checks the authenticators in the vectors, each against the
// change of one byte.
func TestVectorsVerify(t *testing.T) {
	w := newGoldenWorld()
	pub := [32]byte(w.owner.Public().(ed25519.PublicKey))
	n := New{Kind: KindChat, RPK: pub, Cap: w.cap}
	w.auth.SignNew(&n, w.owner)
	s := Sub{RID: RIDOf(pub), Window: 1}
	w.auth.SignSub(&s, w.owner)
	r := RotCap{RID: RIDOf(pub)}
	w.auth.SignRotCap(&r, w.owner)
	d := Del{RID: RIDOf(pub)}
	w.auth.SignDel(&d, w.owner)
	m := &Send{Block: w.block}
	w.auth.SealSend(m, w.cap)
	all := func(a Auth) [5]bool {
		return [5]bool{a.VerifyNew(n), a.VerifySub(s, pub), a.VerifyRotCap(r, pub), a.VerifyDel(d, pub), a.VerifySend(m, w.cap)}
	}
	if all(w.auth) != [5]bool{true, true, true, true, true} {
		t.Fatal("own authenticators do not hold")
	}
	for name, change := range map[string]func(a *Auth){
		"network": func(a *Auth) { a.Network[3] ^= 1 },
		"relay":   func(a *Auth) { a.Relay[3] ^= 1 },
		"nonce":   func(a *Auth) { a.Nonce[3] ^= 1 },
		"counter": func(a *Auth) { a.Counter++ },
	} {
		a := w.auth
		change(&a)
		if all(a) != [5]bool{} {
			t.Errorf("authenticators hold under another %s", name)
		}
	}
	m.Block[1000] ^= 1
	if w.auth.VerifySend(m, w.cap) {
		t.Error("the MAC holds for another block")
	}
}

func TestReceiptVerifies(t *testing.T) {
	w := newGoldenWorld()
	cert := SignCertificate(w.network, w.identity, [32]byte(w.custody.Public().(ed25519.PublicKey)), w.now)
	m := &Send{SID: SID(filledID(1)), ID: MessageID{2}, Block: w.block}
	good := NewReceipt(w.auth.Relay, cert, m, OKSend{Stored: 100, Until: 604})
	good.sign(w.network, w.custody)
	if err := good.Verify(w.network, w.now); err != nil {
		t.Fatal(err)
	}
	if good.BlockHash != sha256.Sum256(w.block[:]) {
		t.Error("hash")
	}
	for name, at := range map[string]time.Time{"three days ago": w.now.Add(-73 * time.Hour), "in 27 days": w.now.Add(27*24*time.Hour + time.Second)} {
		if good.Verify(w.network, at) == nil {
			t.Errorf("certificate holds %s", name)
		}
	}
	if err := good.Verify(w.network, w.now.Add(-71*time.Hour)); err != nil {
		t.Error("certificate does not hold at a snapshot's time of three days ago")
	}
	for name, change := range map[string]func(r *Receipt){
		"relay": func(r *Receipt) { r.Relay[0] ^= 1 }, "sid": func(r *Receipt) { r.SID[0] ^= 1 },
		"id": func(r *Receipt) { r.ID[0] ^= 1 }, "block": func(r *Receipt) { r.BlockHash[0] ^= 1 },
		"stored": func(r *Receipt) { r.Stored++ }, "until": func(r *Receipt) { r.Until++ },
		"order":       func(r *Receipt) { r.Until = r.Stored; r.sign(w.network, w.custody) },
		"too long":    func(r *Receipt) { r.Until = r.Stored + 721; r.sign(w.network, w.custody) },
		"custody key": func(r *Receipt) { r.Custody.Key[0] ^= 1 },
		"long certificate": func(r *Receipt) {
			r.Custody.NotAfter++
			r.Custody.Sig = [SigSize]byte(ed25519.Sign(w.identity, r.Custody.text(w.network)))
		},
	} {
		r := good
		change(&r)
		if r.Verify(w.network, w.now) == nil {
			t.Errorf("receipt holds with another %s", name)
		}
	}
	if !good.Live(time.Unix(603*3600, 0), false) || good.Live(time.Unix(604*3600, 0), false) {
		t.Error("Live is wrong at the border")
	}
}

func TestWork(t *testing.T) {
	nonce, id := filled32(1), filledID(2)
	c, ok := FindWork(nil, nonce, id, 12)
	if !ok || !CheckWork(nonce, id, c, 12) {
		t.Fatal("found work does not hold")
	}
	if nonce[0]++; CheckWork(nonce, id, c, 12) {
		t.Error("work holds for another nonce")
	}
	stop := make(chan struct{})
	close(stop)
	if _, ok := FindWork(stop, nonce, id, 200); ok {
		t.Error("found what cannot be found")
	}
}

func TestLabelsAreDistinct(t *testing.T) {
	seen := make(map[string]bool)
	for _, l := range []string{labelRID, labelSID, labelAuth, labelWork, labelCustody, labelCustodyCert, labelDummy} {
		if seen[l] || !strings.HasPrefix(l, "hearsay/1 ") || !strings.HasSuffix(l, "\x00") {
			t.Errorf("label %q", l)
		}
		seen[l] = true
	}
}
