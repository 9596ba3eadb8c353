package directory

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
)

// cosigned makes an unsigned snapshot of a network with n signers, and the
// certificates and online keys of these.
func cosigned(t *testing.T, n int) (*Chain, *Snapshot, [][]byte, []string) {
	t.Helper()
	f, roots := founders(n)
	raw, id, err := Found(f, roots...)
	check(t, err)
	c, err := VerifyChain(id, [][]byte{raw}, testTime)
	check(t, err)
	log, err := NewLog(c)
	check(t, err)
	at := EpochTime(false, EpochNumber(false, testTime)+1)
	s, err := NewSnapshot(c, log, at, Judgement{Ledger: NewLedger(at, LedgerParts{}), Epoch: startEpoch, SRVHash: [32]byte{5}})
	check(t, err)
	var certs [][]byte
	var keys []string
	for i := range n {
		name := "online " + string(rune('a'+i))
		cert, err := Certificate{
			Online: publicOf(testKey(name)), NotBefore: testTime.Add(-time.Hour), NotAfter: testTime.Add(24 * time.Hour), Seq: 1,
		}.Sign(id, testKey(fmt.Sprintf("signer %d", signerAt(c, i))))
		check(t, err)
		certs, keys = append(certs, cert), append(keys, name)
	}
	return c, s, certs, keys
}

// signerAt returns the number by which the i-th signer of the file got its key.
func signerAt(c *Chain, i int) int {
	for k := range 9 {
		if publicOf(testKey(fmt.Sprintf("signer %d", k))) == c.Current().Signers[i].Public {
			return k
		}
	}
	return -1
}

// TestPartialSignatures: signatures come one by one, in any order; k make a snapshot
// that verifies, and one of another header or key is refused.
func TestPartialSignatures(t *testing.T) {
	c, s, certs, keys := cosigned(t, 3)
	var parts []*Cosign
	for i := range certs {
		p, err := s.Unsigned().Cosign(s.Header.Epoch, certs[i], testKey(keys[i]))
		check(t, err)
		raw, err := p.Sign(c.ID(), testKey(keys[i]))
		check(t, err)
		cert, err := ParseCertificate(c.ID(), certs[i])
		check(t, err)
		back, err := ParseCosign(c.ID(), raw, cert)
		check(t, err)
		parts = append(parts, back)
	}
	verify := func(s *Snapshot) error {
		raw, err := s.Encode()
		if err != nil {
			return err
		}
		got, err := ParseSnapshot(raw)
		check(t, err)
		_, _, err = c.Verify(got, c.InitialState(), Proof{}, s.Header.ValidAfter)
		return err
	}
	for _, order := range [][]int{{0, 1, 2}, {2, 0, 1}, {1, 2, 0}} {
		whole := s.Unsigned()
		for n, i := range order {
			if err := verify(whole); n == 0 && !errors.Is(err, ErrUnsigned) || n == 1 && !errors.Is(err, ErrThreshold) || n == 2 && err != nil {
				t.Errorf("with %d signatures: %v", n, err)
			}
			check(t, whole.AddCosign(parts[i], certs[i]))
			check(t, whole.AddCosign(parts[i], certs[i])) // the same again
			if whole.Signed() != n+1 {
				t.Errorf("%d signatures, not %d", whole.Signed(), n+1)
			}
		}
		check(t, verify(whole))
	}
	if s.Signed() != 0 {
		t.Error("the snapshot that was signed changed")
	}
	whole := s.Unsigned()
	if err := whole.AddCosign(parts[0], certs[1]); err == nil {
		t.Error("under another signer's certificate")
	}
	bad := *parts[0]
	bad.Signature[9] ^= 1
	if err := whole.AddCosign(&bad, certs[0]); !errors.Is(err, ErrSignature) {
		t.Errorf("a flipped bit: %v", err)
	}
	bad = *parts[0]
	bad.Header[0] ^= 1
	if err := whole.AddCosign(&bad, certs[0]); !errors.Is(err, ErrSignature) {
		t.Errorf("of another header: %v", err)
	}
	if whole.Signed() != 0 {
		t.Error("a bad signature was added")
	}
}

// TestSRVHashInHeaders: a header without it has the encoding of before; with it, it
// comes back.
func TestSRVHashInHeaders(t *testing.T) {
	_, s, _, _ := cosigned(t, 1)
	for _, hash := range [][32]byte{{}, {7}} {
		h := s.Header
		h.SRVHash = hash
		raw, err := h.encode()
		check(t, err)
		got, err := parseHeader(raw)
		check(t, err)
		if got.SRVHash != hash {
			t.Errorf("%x comes back as %x", hash, got.SRVHash)
		}
		if has := bytes.Contains(raw, append([]byte{0x15, 0x58, 0x20}, hash[:]...)); has != (hash != [32]byte{}) {
			t.Errorf("key 21 in the header: %v", has)
		}
	}
}

// TestVersionInForce: a version counts from its date on, and its signers speak
// before that.
func TestVersionInForce(t *testing.T) {
	c, s, _, _ := cosigned(t, 3)
	created := testTime.Add(10 * 24 * time.Hour)
	f := c.Next(created)
	gone := f.Signers[0].Public
	f.Signers = append(slices.Clone(f.Signers[1:]), FounderKey{Public: publicOf(testKey("new signer")), Label: "new"})
	d, err := DraftAmendment(c, f)
	check(t, err)
	for i := range f.Roots {
		check(t, d.Sign(testKey(fmt.Sprintf("root %d", i))))
	}
	next, err := d.Assemble(testTime)
	check(t, err)
	for _, tc := range []struct {
		at   time.Time
		want uint64
	}{{testTime, 1}, {created.Add(-time.Second), 1}, {created, 2}, {created.Add(time.Hour), 2}} {
		if v := next.InForce(tc.at).Current().Version; v != tc.want {
			t.Errorf("at %v version %d", tc.at, v)
		}
	}
	if next.Current().Version != 2 {
		t.Error("the chain itself changed")
	}
	fresh := publicOf(testKey("new signer"))
	for _, tc := range []struct {
		key  [32]byte
		at   time.Time
		want bool
	}{{gone, testTime, true}, {gone, created, false}, {fresh, testTime, true}, {fresh, created, true}, {publicOf(testKey("nobody")), testTime, false}} {
		if got := next.signsFrom(tc.key, tc.at); got != tc.want {
			t.Errorf("%x at %v: %v", tc.key[:2], tc.at, got)
		}
	}
	log, err := NewLog(next)
	check(t, err)
	old, err := NewSnapshot(next.InForce(s.Header.ValidAfter), log, s.Header.ValidAfter, Judgement{Ledger: NewLedger(s.Header.ValidAfter, LedgerParts{}), Epoch: startEpoch})
	check(t, err)
	if old.Header.FileVersion != 1 {
		t.Errorf("version %d before the date of 2", old.Header.FileVersion)
	}
}

// TestPendingHeadersAreProven: k echoes of the attempt prove one, others do not.
func TestPendingHeadersAreProven(t *testing.T) {
	c, s, certs, keys := cosigned(t, 3)
	header, epoch := s.Hash(), s.Header.Epoch
	echo := func(i int, epoch uint64, attempt uint8, header [32]byte) []byte {
		e := &Echo{Signer: c.Current().Signers[i].Public, Epoch: epoch, Attempt: attempt, Votes: [][32]byte{{1}}, Header: header}
		raw, err := e.Sign(c.ID(), testKey(keys[i]))
		check(t, err)
		return SealSignerMessage(certs[i], raw)
	}
	p := Pending{Epoch: epoch, Attempt: 2, Header: header}
	good := [][]byte{echo(0, epoch, 2, header), echo(2, epoch, 2, header)}
	if !c.Proves(p, good) {
		t.Error("k echoes prove nothing")
	}
	for name, list := range map[string][][]byte{
		"one":             good[:1],
		"one twice":       {good[0], good[0]},
		"another attempt": {good[0], echo(1, epoch, 1, header)},
		"another epoch":   {good[0], echo(1, epoch+1, 2, header)},
		"another header":  {good[0], echo(1, epoch, 2, [32]byte{3})},
		"no echo":         {good[0], []byte{0}},
	} {
		if c.Proves(p, list) {
			t.Errorf("%s proves it", name)
		}
	}
	slices.SortFunc(good, bytes.Compare)
	v := &Vote{Signer: c.Current().Signers[0].Public, Epoch: epoch + 1, Pending: []Pending{p}, Proofs: good}
	raw, err := v.Sign(c.ID(), testKey(keys[0]))
	check(t, err)
	cert, err := ParseCertificate(c.ID(), certs[0])
	check(t, err)
	got, err := ParseVote(c.ID(), raw, cert)
	check(t, err)
	if !slices.Equal(got.Pending, v.Pending) || !slices.EqualFunc(got.Proofs, v.Proofs, bytes.Equal) {
		t.Errorf("%+v", got)
	}
	for name, bad := range map[string]*Vote{
		"of this epoch":     {Epoch: epoch, Pending: []Pending{p}},
		"attempt 0":         {Epoch: epoch + 1, Pending: []Pending{{Epoch: epoch, Header: header}}},
		"twice":             {Epoch: epoch + 1, Pending: []Pending{p, p}},
		"proofs of nothing": {Epoch: epoch + 1, Proofs: good},
		"proofs unordered":  {Epoch: epoch + 1, Pending: []Pending{p}, Proofs: [][]byte{good[1], good[0]}},
	} {
		bad.Signer = v.Signer
		if _, err := bad.Sign(c.ID(), testKey(keys[0])); !errors.Is(err, ErrBadVote) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, e := range []*Echo{{Attempt: 0, Header: header}, {Attempt: 1}} {
		e.Signer, e.Epoch = v.Signer, epoch
		if _, err := e.Sign(c.ID(), testKey(keys[0])); !errors.Is(err, ErrBadVote) {
			t.Errorf("attempt %d, header %x: %v", e.Attempt, e.Header[:2], err)
		}
	}
}
