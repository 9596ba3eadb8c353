package directory

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// A forged document is one that differs from what was signed: by a bit, by its
// network, or by its type. The tests here try all three on every kind of document
// that anybody takes from others.

// specimen is a valid document of each kind.
type specimen struct {
	name   string
	raw    []byte
	accept func(b []byte) error // as its readers do, in its network
	// abroad reads it in another network of the same people with the same keys.
	// Nil: it belongs to no network.
	abroad func(b []byte) error
	// resign returns it with the signature that the same keys make of the same
	// content under another label. Nil: it bears no signature.
	resign func(label string) [][]byte
	// cbor says that the document is one CBOR array.
	cbor bool
}

// signedLabels are the labels under which keys of this package sign, and two
// others under which nothing may be valid.
var signedLabels = []string{
	labelNetwork, labelCert, labelDesc, labelLeave, labelHeader, labelToken, labelTokenUse, labelVouch, labelFamily,
	labelAddressSign, labelWitness, labelVote, labelEcho, labelCosign, labelCard, labelSuccessor,
	labelNetworkID, "hearsay/1 ",
}

// resignDocument signs the body of a wrapped document under other labels, with
// the type of the label in its wrapper and with its own.
func resignDocument(t testing.TB, raw []byte, network NetworkID, keys ...ed25519.PrivateKey) func(label string) [][]byte {
	var d document
	check(t, decode(raw, MaxVote, &d))
	return func(label string) (list [][]byte) {
		for _, kind := range []string{d.Type, strings.TrimPrefix(label, labelPrefix)} {
			n := document{Type: kind, Body: d.Body}
			for _, k := range keys {
				n.add(signBody(label, network, d.Body, k))
			}
			b, err := encode(&n)
			check(t, err)
			list = append(list, b)
		}
		return list
	}
}

// specimens makes one document of each kind, in a network of four founders with a
// twin that has the same founders and keys.
func specimens(t testing.TB) []specimen {
	k, twin := newCouncil(t), newCouncil(t)
	f := *twin.chain.Current()
	f.Salt[0]++
	_, roots := founders(4)
	raw, id, err := Found(f, roots...)
	check(t, err)
	twin.chain, err = VerifyChain(id, [][]byte{raw}, testTime)
	check(t, err)
	for i := range twin.certs {
		own, err := ParseCertificate(k.chain.ID(), k.certs[i])
		check(t, err)
		twin.certs[i], err = own.Sign(id, testKey(fmt.Sprintf("signer %d", i)))
		check(t, err)
	}
	c, other := k.chain, twin.chain
	now := testTime.Add(time.Minute)
	relay := testKey("a relay")
	relayID := RelayID(publicOf(relay))
	seal := func(label string, keys ...ed25519.PrivateKey) func(b []byte) func(string) [][]byte {
		return func(b []byte) func(string) [][]byte { return resignDocument(t, b, c.ID(), keys...) }
	}

	first := c.Raw(1)[0]
	list := []specimen{{
		name: "network file", raw: first, cbor: true,
		accept: func(b []byte) error { _, err := VerifyChain(c.ID(), [][]byte{b}, now); return err },
		abroad: func(b []byte) error { _, err := VerifyChain(other.ID(), [][]byte{b}, now); return err },
		resign: resignDocument(t, first, NetworkID{}, roots...),
	}}
	add := func(name string, raw []byte, keys []ed25519.PrivateKey, read func(c *Chain, b []byte) error) {
		s := specimen{
			name: name, raw: raw, cbor: true,
			accept: func(b []byte) error { return read(c, b) },
			abroad: func(b []byte) error { return read(other, b) },
		}
		if keys != nil {
			s.resign = seal(name, keys...)(raw)
		}
		list = append(list, s)
	}

	second := amend(t, c, func(f *NetworkFile) { f.Name = "haven" }, roots...)
	add("second network file", second, roots, func(c *Chain, b []byte) error { _, err := c.Extend([][]byte{b}, now); return err })

	card, err := Card{Label: "anna"}.Sign(testKey("card root"), testKey("card signer"))
	check(t, err)
	list = append(list, specimen{
		name: "card", raw: card, cbor: true,
		accept: func(b []byte) error { _, err := ParseCard(b); return err },
		resign: resignDocument(t, card, NetworkID{}, testKey("card root"), testKey("card signer")),
	})

	to := NetworkLink{ID: NetworkID{9}, Bootstraps: c.Current().Bootstraps}
	successor, err := c.SignSuccessor(to, now, roots[0], roots[2])
	check(t, err)
	add("successor", successor.Bytes(), []ed25519.PrivateKey{roots[0], roots[2]}, func(c *Chain, b []byte) error {
		_, err := c.ParseSuccessor(b)
		return err
	})

	identity, online := testKey("signer 1"), ed25519.PrivateKey(k.online(1))
	cert, err := ParseCertificate(c.ID(), k.certs[1])
	check(t, err)
	add("certificate", k.certs[1], []ed25519.PrivateKey{identity}, func(c *Chain, b []byte) error {
		_, err := ParseCertificate(c.ID(), b)
		return err
	})

	vote := k.vote(1, 5, "hearsay 0.2")
	add("vote", vote.Raw(), []ed25519.PrivateKey{online}, func(c *Chain, b []byte) error {
		_, err := ParseVote(c.ID(), b, cert)
		return err
	})
	echo := &Echo{Signer: cert.Signer, Epoch: vote.Epoch, Votes: [][32]byte{vote.Hash()}}
	_, err = echo.Sign(c.ID(), online)
	check(t, err)
	add("echo", echo.Raw(), []ed25519.PrivateKey{online}, func(c *Chain, b []byte) error {
		_, err := ParseEcho(c.ID(), b, cert)
		return err
	})
	cosign := &Cosign{Signer: cert.Signer, Epoch: vote.Epoch, Header: [32]byte{3}}
	_, err = cosign.Sign(c.ID(), online)
	check(t, err)
	add("partial signature", cosign.Raw(), []ed25519.PrivateKey{online}, func(c *Chain, b []byte) error {
		_, err := ParseCosign(c.ID(), b, cert)
		return err
	})
	message := func(c *Chain, b []byte) error { _, err := c.ParseSignerMessage(b, now); return err }
	for name, doc := range map[string][]byte{"vote message": vote.Raw(), "echo message": echo.Raw(), "partial signature message": cosign.Raw()} {
		list = append(list, specimen{
			name: name, raw: SealSignerMessage(k.certs[1], doc),
			accept: func(b []byte) error { return message(c, b) },
			abroad: func(b []byte) error { return message(other, b) },
		})
	}

	list = append(list, recordSpecimens(t, c, other, relay, now)...)
	list = append(list, headSpecimens(t, k, twin, now)...)

	vouch := SignVouch(c.ID(), testKey("family"), relayID, now.Add(time.Hour))
	readVouch := func(id NetworkID, b []byte) error {
		v, err := ParseVouch(b)
		if err != nil {
			return err
		}
		return v.Verify(id, relayID, now)
	}
	list = append(list, specimen{
		name: "vouch", raw: vouch.Append(nil),
		accept: func(b []byte) error { return readVouch(c.ID(), b) },
		abroad: func(b []byte) error { return readVouch(other.ID(), b) },
		resign: func(label string) [][]byte {
			b := vouch.Append(nil)[:vouchText]
			return [][]byte{append(b, ed25519.Sign(testKey("family"), signedText(label, c.ID(), b))...)}
		},
	})
	family := SignFamily(c.ID(), testKey("family"), relayID, now.Add(time.Hour))
	list = append(list, specimen{
		name: "family certificate", raw: family.Append(nil, relayID),
		accept: func(b []byte) error { _, _, err := ParseFamily(c.ID(), b); return err },
		abroad: func(b []byte) error { _, _, err := ParseFamily(other.ID(), b); return err },
		resign: func(label string) [][]byte {
			b := family.Append(nil, relayID)[:72]
			return [][]byte{append(b, ed25519.Sign(testKey("family"), signedText(label, c.ID(), b[32:]))...)}
		},
	})

	address, err := SealAddressRecord(c.ID(), testKey("address"), 7, 1, []byte("bundle"), [24]byte{1})
	check(t, err)
	blinding, err := NewBlindingKey(c.ID(), testKey("address"), 7)
	check(t, err)
	list = append(list, specimen{
		name: "address record", raw: address.Append(nil),
		accept: func(b []byte) error { _, err := ParseAddressRecord(c.ID(), b); return err },
		abroad: func(b []byte) error { _, err := ParseAddressRecord(other.ID(), b); return err },
		resign: func(label string) [][]byte {
			n := *address
			n.sig = blinding.Sign(append([]byte(label), n.signed(c.ID())[len(labelAddressSign):]...))
			return [][]byte{n.Append(nil)}
		},
	})

	evidence, err := c.VoteEvidence(vote, k.certs[1], k.vote(1, 5, "another"), k.certs[1])
	check(t, err)
	list = append(list, specimen{
		name: "evidence", raw: evidence.Raw(),
		accept: func(b []byte) error { _, err := c.ParseEvidence(b); return err },
		abroad: func(b []byte) error { _, err := other.ParseEvidence(b); return err },
	})
	return list
}

// recordSpecimens are what relays sign, and the token that lets one in.
func recordSpecimens(t testing.TB, c, other *Chain, relay ed25519.PrivateKey, now time.Time) []specimen {
	id := RelayID(publicOf(relay))
	invitation, err := IssueToken(c.ID(), testKey("signer 1"), [32]byte{1}, now.Add(time.Hour), 1)
	check(t, err)
	d := &Descriptor{
		ID: id, Seq: uint64(now.Unix()), Life: MaxDescriptorLife, Addrs: []netip.AddrPort{testAddr(1, false)},
		OnionKeys: []OnionKey{{NotBefore: uint32(now.Unix()), Key: [32]byte{1}}}, LinkKey: publicOf(testKey("a relay's link")),
		Protocols: []uint16{1}, Admission: invitation.Admission(c.ID(), id),
	}
	raw, err := d.Sign(c.ID(), relay)
	check(t, err)
	leave, err := SignLeave(c.ID(), relay, uint64(now.Unix()))
	check(t, err)
	var list []specimen
	for name, raw := range map[string][]byte{"descriptor": raw, "leave notice": leave} {
		list = append(list, specimen{
			name: name, raw: raw, cbor: true,
			accept: func(b []byte) error { _, err := ParseRecord(c.Rules(), b, now); return err },
			abroad: func(b []byte) error { _, err := ParseRecord(other.Rules(), b, now); return err },
			resign: resignDocument(t, raw, c.ID(), relay),
		})
	}
	proof := d.Admission[1:]
	read := func(c *Chain, b []byte) error {
		p, err := parseTokenProof(b)
		if err != nil {
			return err
		}
		return p.Verify(c.Rules(), id, now)
	}
	return append(list, specimen{
		name: "token", raw: proof,
		accept: func(b []byte) error { return read(c, b) },
		abroad: func(b []byte) error { return read(other, b) },
		resign: func(label string) [][]byte {
			byIssuer, byHolder := bytes.Clone(proof), bytes.Clone(proof)
			copy(byIssuer[tokenBodySize:], ed25519.Sign(testKey("signer 1"), signedText(label, c.ID(), proof[:tokenBodySize])))
			copy(byHolder[TokenSize+32:], ed25519.Sign(invitation.key(), signedText(label, c.ID(), id[:])))
			switch label { // one of the two signatures is the right one
			case labelToken:
				return [][]byte{byHolder}
			case labelTokenUse:
				return [][]byte{byIssuer}
			}
			return [][]byte{byIssuer, byHolder}
		},
	})
}

// headSpecimens are a snapshot, what leads to the next, a log proof and a
// witness's signature.
func headSpecimens(t testing.TB, k, twin *council, now time.Time) []specimen {
	c, other, l := k.chain, twin.chain, k.log()
	snapshot := func(minutes int) *Snapshot {
		s, err := NewSnapshot(c, l, testTime.Add(time.Duration(minutes)*time.Minute), Judgement{Ledger: &Ledger{}, Epoch: time.Minute})
		check(t, err)
		for i := range 3 {
			check(t, s.Sign(k.certs[i], k.online(i)))
		}
		check(t, l.AddHeader(s.Hash()))
		return s
	}
	a, b := snapshot(1), snapshot(2)
	check(t, a.open())
	check(t, b.open())
	raw, err := a.Encode()
	check(t, err)
	begin := c.InitialState()
	p, err := l.Prove(begin.ProofRange(a.Header.LogSize))
	check(t, err)
	verify := func(c *Chain, b []byte) error {
		s, err := ParseSnapshot(b)
		if err != nil {
			return err
		}
		_, _, err = c.Verify(s, c.InitialState(), p, now)
		return err
	}
	_, state, err := c.Verify(a, begin, p, now)
	check(t, err)
	step, err := l.Prove(state.ProofRange(b.Header.LogSize))
	check(t, err)
	diff, err := MakeDiff(a, b)
	check(t, err)
	witness, err := state.Witness(&a.Head, testKey("witness"), now)
	check(t, err)
	attest := func(h *Head, raw []byte) error {
		w, err := ParseWitness(raw)
		if err != nil {
			return err
		}
		h = h.WithoutWitnesses()
		return h.AddWitness(w)
	}
	stranger := twin.head(twin.log(), 1, "", nil, 0, 1, 2)
	return []specimen{{
		name: "snapshot", raw: raw, cbor: true,
		accept: func(b []byte) error { return verify(c, b) },
		abroad: func(b []byte) error { return verify(other, b) },
		resign: func(label string) [][]byte {
			s := *a
			s.doc.Signatures = nil
			for i := range 3 {
				s.doc.add(signBody(label, c.ID(), s.doc.Body, k.online(i)))
			}
			b, err := s.Encode()
			check(t, err)
			return [][]byte{b}
		},
	}, {
		name: "log proof", raw: step.Append(nil),
		accept: func(raw []byte) error {
			p, err := ParseProof(raw)
			if err != nil {
				return err
			}
			_, _, err = c.Verify(b, state, p, now)
			return err
		},
	}, {
		name: "diff", raw: diff,
		accept: func(raw []byte) error { _, err := ApplyDiff(a, &b.Head, raw); return err },
		abroad: func(raw []byte) error { _, err := ApplyDiff(a, stranger, raw); return err },
	}, {
		name: "witness's signature", raw: witness.Append(nil),
		accept: func(raw []byte) error { return attest(&a.Head, raw) },
		abroad: func(raw []byte) error { return attest(stranger, raw) },
		resign: func(label string) [][]byte {
			w := witness
			text := append([]byte(label), w.text(&a.Head)[len(labelWitness):]...)
			w.Signature = [64]byte(ed25519.Sign(testKey("witness"), text))
			return [][]byte{w.Append(nil)}
		},
	}}
}

func TestSpecimensAreValid(t *testing.T) {
	for _, s := range specimens(t) {
		if err := s.accept(s.raw); err != nil {
			t.Errorf("%s: %v", s.name, err)
		}
	}
}

// TestAnyFlippedBitFails flips one bit of each byte, another one in each.
func TestAnyFlippedBitFails(t *testing.T) {
	for _, s := range specimens(t) {
		for i := 0; i < len(s.raw); i += flipStep {
			b := bytes.Clone(s.raw)
			b[i] ^= 1 << (i % 8)
			if s.accept(b) == nil {
				t.Errorf("%s: accepted with bit %d of byte %d of %d flipped", s.name, i%8, i, len(b))
			}
		}
	}
}

// TestDocumentsOfAnotherNetworkFail hands each document to a network of the same
// founders, signers and relays, with the same keys.
func TestDocumentsOfAnotherNetworkFail(t *testing.T) {
	for _, s := range specimens(t) {
		if s.abroad != nil && s.abroad(s.raw) == nil {
			t.Errorf("%s: accepted in another network", s.name)
		}
	}
}

// TestSignaturesOfAnotherTypeFail signs the content of each document with the
// right keys, as a document of every other type.
func TestSignaturesOfAnotherTypeFail(t *testing.T) {
	for _, s := range specimens(t) {
		if s.resign == nil {
			continue
		}
		valid := 0
		for _, label := range signedLabels {
			for i, b := range s.resign(label) {
				if s.accept(b) == nil {
					if valid++; !bytes.Equal(b, s.raw) {
						t.Errorf("%s: accepted, variant %d, with a signature under %q", s.name, i, label)
					}
				}
			}
		}
		// Under its own label it is the document itself: the test can fail.
		if valid == 0 && s.name != "token" {
			t.Errorf("%s: not accepted under its own label either", s.name)
		}
	}
}

func TestCutAndPaddedDocumentsFail(t *testing.T) {
	for _, s := range specimens(t) {
		for n := range s.raw {
			if s.accept(s.raw[:n]) == nil {
				t.Errorf("%s: accepted after %d of %d bytes", s.name, n, len(s.raw))
			}
		}
		for _, tail := range [][]byte{{0}, {0xf6}, s.raw, make([]byte, 1<<20)} {
			if s.accept(slices.Concat(s.raw, tail)) == nil {
				t.Errorf("%s: accepted with %d bytes behind it", s.name, len(tail))
			}
		}
	}
}

// TestOtherEncodingsOfOneDocumentFail writes the outermost array in every other
// way that CBOR knows: hashes name documents, so each must have one encoding.
func TestOtherEncodingsOfOneDocumentFail(t *testing.T) {
	for _, s := range specimens(t) {
		if !s.cbor {
			continue
		}
		if s.raw[0] != 0x83 {
			t.Fatalf("%s: begins with %x, not as an array of three", s.name, s.raw[0])
		}
		rest := s.raw[1:]
		for name, b := range map[string][]byte{
			"length in 1 byte":  append([]byte{0x98, 3}, rest...),
			"length in 2 bytes": append([]byte{0x99, 0, 3}, rest...),
			"length in 8 bytes": append([]byte{0x9b, 0, 0, 0, 0, 0, 0, 0, 3}, rest...),
			"indefinite length": append(append([]byte{0x9f}, rest...), 0xff),
			"tagged":            append([]byte{0xd9, 0xd9, 0xf7, 0x83}, rest...),
		} {
			if s.accept(b) == nil {
				t.Errorf("%s: accepted with %s", s.name, name)
			}
		}
	}
}

// TestAFlippedBitChangesTheLedgersHash: the ledger is bound by its hash alone.
func TestAFlippedBitChangesTheLedgersHash(t *testing.T) {
	for _, v := range readVectors(t) {
		if v.kind != "ledger" || v.expect != "ok" {
			continue
		}
		l, err := ParseLedger(v.data)
		check(t, err)
		for i := range v.data {
			b := bytes.Clone(v.data)
			b[i] ^= 1 << (i % 8)
			if o, err := ParseLedger(b); err == nil && o.Hash() == l.Hash() {
				t.Errorf("%s: the same hash with byte %d changed", v.name, i)
			}
		}
	}
}

// megabytes are inputs of 1 MiB that promise much work.
func megabytes() map[string][]byte {
	const size = 1 << 20
	fill := func(start []byte, unit ...byte) []byte {
		b := slices.Clone(start)
		for len(b) < size {
			b = append(b, unit...)
		}
		return b[:size]
	}
	deep := fill(nil, 0x81)
	pairs := []byte{0xba, 0, 8, 0, 0}
	for i := uint32(0); len(pairs) < size-8; i++ {
		pairs = binary.BigEndian.AppendUint32(append(pairs, 0x1a), i)
	}
	nested := []byte{0x83, 0x64, 'v', 'o', 't', 'e', 0x5a, 0, 0x0f, 0xff, 0xf0}
	return map[string][]byte{
		"zeros":         fill(nil, 0),
		"arrays":        deep,
		"long array":    fill([]byte{0x9a, 0, 0x0f, 0xff, 0xfb}, 0xf6),
		"long map":      pairs,
		"short strings": fill([]byte{0x9a, 0, 7, 0xff, 0xfd}, 0x41, 0x41),
		"byte string":   fill([]byte{0x5a, 0, 0x0f, 0xff, 0xfb}, 0),
		"in a wrapper":  fill(nested, 0x81),
		"all ones":      fill(nil, 0xff),
	}
}

// BenchmarkHostileMegabyte hands 1 MiB of hostile input to every decoder; each
// must be done within 50 ms.
func BenchmarkHostileMegabyte(b *testing.B) {
	list := specimens(b)
	o := newOrphans(b, false)
	list = append(
		list,
		specimen{name: "ledger", accept: func(b []byte) error { _, err := ParseLedger(b); return err }},
		specimen{name: "tables", accept: func(b []byte) error { _, err := parseTables(b); return err }},
		specimen{name: "entries", accept: func(b []byte) error { _, err := parseEntries(b, 9000, false); return err }},
		specimen{name: "draft", accept: func(b []byte) error { _, err := ParseDraft(b); return err }},
		specimen{name: "emergency draft", accept: func(b []byte) error { _, err := o.chain.ParseEmergencyDraft(b); return err }},
		specimen{name: "link", accept: func(b []byte) error { _, err := ParseNetworkLink(string(b)); return err }},
	)
	inputs := megabytes()
	for _, s := range list {
		for name, in := range inputs {
			b.Run(fmt.Sprintf("%s/%s", s.name, name), func(b *testing.B) {
				for b.Loop() {
					if s.accept(in) == nil {
						b.Fatal("accepted")
					}
				}
			})
		}
	}
}
