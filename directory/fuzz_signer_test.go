package directory

import (
	"bytes"
	"testing"
	"time"
)

// signedBody returns the body of a document.
func signedBody(t testing.TB, raw []byte) []byte {
	t.Helper()
	var d document
	check(t, decode(raw, MaxVote, &d))
	return d.Body
}

// fuzzSigned hands bodies to a parser under a signature that verifies, so that
// fuzzing gets behind it; what is accepted must sign to the same document again.
func fuzzSigned(f *testing.F, label string, seeds [][]byte, again func(k *council, cert Certificate, raw []byte) ([]byte, error)) {
	k := newCouncil(f)
	cert, err := ParseCertificate(k.chain.ID(), k.certs[1])
	check(f, err)
	for _, raw := range seeds {
		f.Add(signedBody(f, raw))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		raw, err := sealDocument(label, k.chain.ID(), b, k.online(1))
		if err != nil {
			return
		}
		out, err := again(k, cert, raw)
		if err == nil && !bytes.Equal(out, raw) {
			t.Fatalf("encoded again: %x", out)
		}
	})
}

func FuzzParseVote(f *testing.F) {
	k := newCouncil(f)
	full := &Vote{
		Signer: publicOf(testKey("signer 1")), Epoch: 9, Previous: [32]byte{1}, Share: &SRVShare{Round: 3, Reveal: true, Value: [32]byte{2}},
		Recommended: []string{"hearsay 0.2"}, Reasons: []string{"a reason"},
		Relays: []RelayVote{
			{Key: [8]byte{1}, Descriptor: [16]byte{2}, Tried: 3, Reached: 1, Failures: UnknownFailures},
			{Key: [8]byte{2}, Flags: VoteWatch, Reason: 1, Until: 20900, Bandwidth: 9},
		},
	}
	raw, err := full.Sign(k.chain.ID(), k.online(1))
	check(f, err)
	fuzzSigned(f, labelVote, [][]byte{k.vote(1, 5, "hearsay 0.2").Raw(), raw}, func(k *council, cert Certificate, raw []byte) ([]byte, error) {
		v, err := ParseVote(k.chain.ID(), raw, cert)
		if err != nil {
			return nil, err
		}
		return v.Sign(k.chain.ID(), k.online(1))
	})
}

func FuzzParseEcho(f *testing.F) {
	k := newCouncil(f)
	e := &Echo{Signer: publicOf(testKey("signer 1")), Epoch: 9, Attempt: 2, Votes: [][32]byte{{1}, {2}}, Header: [32]byte{7}}
	raw, err := e.Sign(k.chain.ID(), k.online(1))
	check(f, err)
	fuzzSigned(f, labelEcho, [][]byte{raw}, func(k *council, cert Certificate, raw []byte) ([]byte, error) {
		e, err := ParseEcho(k.chain.ID(), raw, cert)
		if err != nil {
			return nil, err
		}
		return e.Sign(k.chain.ID(), k.online(1))
	})
}

func FuzzParseCosign(f *testing.F) {
	k := newCouncil(f)
	s := &Cosign{Signer: publicOf(testKey("signer 1")), Epoch: 9, Header: [32]byte{1}, Signature: [64]byte{2}}
	raw, err := s.Sign(k.chain.ID(), k.online(1))
	check(f, err)
	fuzzSigned(f, labelCosign, [][]byte{raw}, func(k *council, cert Certificate, raw []byte) ([]byte, error) {
		s, err := ParseCosign(k.chain.ID(), raw, cert)
		if err != nil {
			return nil, err
		}
		return s.Sign(k.chain.ID(), k.online(1))
	})
}

func FuzzParseSignerMessage(f *testing.F) {
	k := newCouncil(f)
	e := &Echo{Signer: publicOf(testKey("signer 1")), Epoch: 9}
	raw, err := e.Sign(k.chain.ID(), k.online(1))
	check(f, err)
	known := map[string]bool{}
	for _, doc := range [][]byte{raw, k.vote(1, 5, "hearsay 0.2").Raw()} {
		b := SealSignerMessage(k.certs[1], doc)
		known[string(b)] = true
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := k.chain.ParseSignerMessage(b, testTime)
		if err != nil {
			return
		}
		if same(t, b, m.Raw(), nil); !known[string(b)] {
			t.Fatal("accepted what nobody signed")
		}
	})
}

func FuzzParseVouch(f *testing.F) {
	v := SignVouch(NetworkID{1}, testKey("family"), RelayID{2}, testTime)
	f.Add(v.Append(nil))
	f.Add([]byte(v.Text()))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := ParseVouchText(b)
		if err != nil {
			return
		}
		again, err := ParseVouch(v.Append(nil))
		if err != nil || again != v {
			t.Fatalf("%+v: %v", again, err)
		}
		_ = v.Verify(NetworkID{1}, RelayID{2}, testTime)
	})
}

func FuzzParseFamily(f *testing.F) {
	id := RelayID{2}
	c := SignFamily(NetworkID{1}, testKey("family"), id, testTime)
	f.Add(c.Append(nil, id))
	f.Add([]byte(c.Text(id)))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, relay, err := ParseFamily(NetworkID{1}, b)
		if err == nil && (relay != id || !bytes.Equal(got.Append(nil, relay), c.Append(nil, id))) {
			t.Fatal("accepted what nobody signed")
		}
	})
}

func FuzzAdmission(f *testing.F) {
	n := newNetwork(f, false, JoinToken|JoinVouch|JoinOpen)
	d := n.descriptor(0, testTime)
	f.Add(d.Admission)
	vouches, err := VouchAdmission(SignVouch(n.id, testKey("family"), d.ID, testTime.Add(time.Hour)))
	check(f, err)
	f.Add(vouches)
	f.Add([]byte{byte(JoinOpen)})
	f.Fuzz(func(t *testing.T, b []byte) {
		d := *d
		d.Admission = b
		if p, ok := d.TokenProof(); ok && !bytes.Equal(b[1:TokenSize+1], p.Token.Bytes()) {
			t.Fatal("another token")
		}
		d.Vouches()
		_ = n.chain.Rules().admit(&d, testTime)
	})
}
