package directory

import (
	"bytes"
	"testing"
)

// seed adds the golden vectors of a kind.
func seed(f *testing.F, kinds ...string) {
	for _, v := range readVectors(f) {
		for _, k := range kinds {
			if v.kind == k {
				f.Add(v.data)
			}
		}
	}
}

// bodySeed adds the bodies of the documents of a kind.
func bodySeed(f *testing.F, kind, label string) {
	for _, v := range readVectors(f) {
		if v.kind != kind {
			continue
		}
		if d, err := openDocument(label, v.data, maxNetworkFile); err == nil {
			f.Add(d.Body)
		}
	}
}

// same fails if what was accepted does not encode to the same bytes.
func same(t *testing.T, in, out []byte, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("accepted but not encodable: %v", err)
	}
	if !bytes.Equal(in, out) {
		t.Fatalf("encoded again: %x", out)
	}
}

func FuzzParseNetworkFile(f *testing.F) {
	bodySeed(f, "network", labelNetwork)
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := parseNetworkBody(b)
		if err != nil {
			return
		}
		out, err := n.encode()
		same(t, b, out, err)
	})
}

func FuzzVerifyChain(f *testing.F) {
	n := vectorNetwork(f)
	seed(f, "network")
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := VerifyChain(n.id, [][]byte{b}, testTime)
		if err == nil && !bytes.Equal(c.Raw(1)[0], b) {
			t.Fatal("keeps other bytes")
		}
		if err == nil && !bytes.Equal(b, n.raw) {
			t.Fatal("accepted what nobody signed")
		}
	})
}

func FuzzParseNetworkLink(f *testing.F) {
	seed(f, "link")
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := ParseNetworkLink(string(b))
		if err != nil {
			return
		}
		again, err := ParseNetworkLink(l.String())
		if err != nil || again.String() != l.String() {
			t.Fatalf("%q: %v", l.String(), err)
		}
		if !bytes.EqualFold([]byte(strip(string(b))), []byte(l.String())) {
			t.Fatalf("%q reads as %q", b, l.String())
		}
	})
}

func FuzzParseToken(f *testing.F) {
	seed(f, "token")
	f.Fuzz(func(t *testing.T, b []byte) {
		tok, err := ParseToken(b)
		if err == nil {
			same(t, b, tok.Bytes(), nil)
		}
		if i, err := ParseInvitation(b); err == nil {
			same(t, b, i.Bytes(), nil)
			again, err := ParseInvitationText(i.Text())
			same(t, b, again.Bytes(), err)
		}
		if tok, err := ParseInvitationText(string(b)); err == nil && !bytes.EqualFold([]byte(strip(string(b))), []byte(tok.Text())) {
			t.Fatal("text")
		}
	})
}

func FuzzParseCertificate(f *testing.F) {
	n := vectorNetwork(f)
	seed(f, "certificate")
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ParseCertificate(n.id, b)
		if err != nil {
			return
		}
		out, err := c.Sign(n.id, n.signer)
		same(t, b, out, err)
	})
}

func FuzzParseDescriptor(f *testing.F) {
	bodySeed(f, "descriptor", labelDesc)
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := parseDescriptorBody(b)
		if err != nil || d.check(true) != nil {
			return
		}
		out, err := d.encode()
		same(t, b, out, err)
	})
}

func FuzzParseRecord(f *testing.F) {
	n := vectorNetwork(f)
	seed(f, "descriptor", "leave")
	known := map[string]bool{}
	for _, v := range readVectors(f) {
		if v.expect == "ok" {
			known[string(v.data)] = true
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseRecord(n.chain.Rules(), b, testTime)
		if err != nil {
			return
		}
		same(t, b, r.Raw, nil)
		if !known[string(b)] {
			t.Fatal("accepted what nobody signed")
		}
	})
}

func FuzzParseSnapshot(f *testing.F) {
	n := vectorNetwork(f)
	seed(f, "snapshot")
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseSnapshot(b)
		if err != nil {
			return
		}
		out, err := s.Encode()
		same(t, b, out, err)
		_, _, _ = n.chain.Verify(s, n.chain.InitialState(), Proof{}, testTime)
		if s.open() == nil {
			var entries []byte
			for i := range s.Entries {
				entries = appendEntry(entries, &s.Entries[i])
			}
			same(t, s.entries, entries, nil)
		}
	})
}

func FuzzParseHeader(f *testing.F) {
	for _, v := range readVectors(f) {
		if s, err := ParseSnapshot(v.data); v.kind == "snapshot" && err == nil {
			f.Add(s.doc.Body)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := parseHeader(b)
		if err != nil {
			return
		}
		out, err := h.encode()
		same(t, b, out, err)
	})
}

func FuzzParseEntries(f *testing.F) {
	for _, v := range readVectors(f) {
		if s, err := ParseSnapshot(v.data); v.kind == "snapshot" && err == nil {
			f.Add(s.entries, s.Header.N, false)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, n uint64, lab bool) {
		list, err := parseEntries(b, n, lab)
		if err != nil {
			return
		}
		var out []byte
		for i := range list {
			out = appendEntry(out, &list[i])
		}
		same(t, b, out, nil)
		entriesRoot(list)
	})
}

func FuzzParseTables(f *testing.F) {
	for _, v := range readVectors(f) {
		if s, err := ParseSnapshot(v.data); v.kind == "snapshot" && err == nil {
			f.Add(s.tables)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := parseTables(b)
		if err != nil {
			return
		}
		out, err := x.encode()
		same(t, b, out, err)
	})
}

func FuzzParseLedger(f *testing.F) {
	seed(f, "ledger")
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := ParseLedger(b)
		if err == nil {
			same(t, b, l.Append(nil), nil)
		}
	})
}

func FuzzParseState(f *testing.F) {
	n := vectorNetwork(f)
	s := n.chain.InitialState()
	s.Certs = []CertSeq{{KeyID{1}, 2}, {KeyID{2}, 1}}
	f.Add(s.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseState(b)
		if err == nil {
			same(t, b, s.Append(nil), nil)
		}
	})
}

func FuzzParseProof(f *testing.F) {
	seed(f, "proof")
	n := vectorNetwork(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParseProof(b)
		if err != nil {
			return
		}
		same(t, b, p.Append(nil), nil)
		for size := uint64(1); size < 20; size++ {
			s := n.chain.InitialState()
			_ = p.checkConsistency(1, s.LogRoot, size, [32]byte{})
			_ = p.checkInclusion(size, [32]byte{}, size-1, s.LogRoot)
		}
	})
}

// FuzzAdmissionOfStrangers: whatever an admission field holds, no relay but those that were
// let in is let in, and what is accepted has one encoding.
func FuzzAdmissionOfStrangers(f *testing.F) {
	n, list := makeJoinVectors(f)
	for _, v := range list {
		f.Add(v.data)
	}
	rules := n.chain.Rules()
	rules.WorkBits = 64
	good := make(map[string]bool)
	for _, v := range list {
		good[string(v.data)] = v.kind == "admission" && v.expect == "ok"
	}
	id := RelayID(publicOf(testKey(nameOf(1))))
	f.Fuzz(func(t *testing.T, b []byte) {
		d := &Descriptor{ID: id, Admission: b}
		if list := d.Vouches(); list != nil {
			out, err := VouchAdmission(list...)
			same(t, b, out, err)
		}
		if p, ok := d.TokenProof(); ok {
			same(t, b[:1+TokenSize], append([]byte{2}, p.Token.Bytes()...), nil)
		}
		// One of two vouches alone is good, too.
		if err := rules.admit(d, testTime); err == nil && !good[string(b)] && !(len(d.Vouches()) == 1) {
			t.Fatalf("admitted by %x", b)
		}
		if err := rules.admit(&Descriptor{ID: RelayID{1}, Admission: b}, testTime); err == nil && good[string(b)] {
			t.Fatalf("another relay is admitted by %x", b)
		}
	})
}

func FuzzParseInviters(f *testing.F) {
	_, list := makeJoinVectors(f)
	file, err := openDocument(labelNetwork, list[0].data, maxNetworkFile)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(file.Body)
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := parseNetworkBody(b)
		if err != nil {
			return
		}
		if len(n.Inviters) > maxInviters {
			t.Fatalf("%d inviters", len(n.Inviters))
		}
		out, err := n.encode()
		same(t, b, out, err)
	})
}
