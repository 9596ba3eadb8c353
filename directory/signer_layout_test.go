package directory

import (
	"bytes"
	"crypto/ed25519"
	"testing"
)

// cborHead is a CBOR head written by hand: major type and argument.
func cborHead(major byte, n uint64) []byte {
	switch {
	case n < 24:
		return []byte{major<<5 | byte(n)}
	case n < 1<<8:
		return []byte{major<<5 | 24, byte(n)}
	case n < 1<<16:
		return []byte{major<<5 | 25, byte(n >> 8), byte(n)}
	}
	return []byte{major<<5 | 26, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
}

func cborBytes(b []byte) []byte { return append(cborHead(2, uint64(len(b))), b...) }

func cborText(s string) []byte { return append(cborHead(3, uint64(len(s))), s...) }

// cborDocument wraps a body as SPEC.md §1.2 says, with the one signature given.
func cborDocument(kind string, body []byte, key KeyID, sig []byte) []byte {
	return bytes.Join([][]byte{
		cborHead(4, 3), cborText(kind), cborBytes(body),
		cborHead(4, 1), cborHead(4, 2), cborBytes(key[:]), cborBytes(sig),
	}, nil)
}

// TestLayoutOfSignersMessages compares echoes, partial signatures and the pending
// headers of votes, byte by byte, with what SPEC.md §16.1, §16.5 and §27 say.
func TestLayoutOfSignersMessages(t *testing.T) {
	c, s, certs, keys := cosigned(t, 3)
	network := c.ID()
	cert, err := ParseCertificate(network, certs[0])
	check(t, err)
	online := testKey(keys[0])
	signer, header, epoch := cert.Signer, s.Hash(), s.Header.Epoch
	text := func(kind string, body []byte) []byte {
		return bytes.Join([][]byte{[]byte("hearsay/1 " + kind), {0}, network[:], body}, nil)
	}
	compare := func(what string, raw []byte, kind string, body []byte) {
		t.Helper()
		sig := ed25519.Sign(online, text(kind, body))
		if want := cborDocument(kind, body, keyID(cert.Online), sig); !bytes.Equal(raw, want) {
			t.Errorf("%s:\n got %x\nwant %x", what, raw, want)
		}
	}
	v1, v2 := [32]byte{1}, [32]byte{2}

	first := &Echo{Signer: signer, Epoch: epoch, Votes: [][32]byte{v1, v2}}
	raw, err := first.Sign(network, online)
	check(t, err)
	compare("first echo", raw, "echo", bytes.Join([][]byte{
		cborHead(5, 5),
		{1},
		{1},
		{2},
		cborBytes(signer[:]),
		{3},
		cborHead(0, epoch),
		{4},
		{0},
		{5},
		cborHead(4, 2), cborBytes(v1[:]), cborBytes(v2[:]),
	}, nil))

	second := &Echo{Signer: signer, Epoch: epoch, Attempt: 3, Votes: [][32]byte{v2}, Header: header}
	echoRaw, err := second.Sign(network, online)
	check(t, err)
	compare("later echo", echoRaw, "echo", bytes.Join([][]byte{
		cborHead(5, 6),
		{1},
		{1},
		{2},
		cborBytes(signer[:]),
		{3},
		cborHead(0, epoch),
		{4},
		{3},
		{5},
		cborHead(4, 1), cborBytes(v2[:]),
		{6},
		cborBytes(header[:]),
	}, nil))

	part, err := s.Unsigned().Cosign(epoch+1, certs[0], online)
	check(t, err)
	raw, err = part.Sign(network, online)
	check(t, err)
	under := ed25519.Sign(online, text("snapshot", s.doc.Body))
	compare("partial signature", raw, "cosign", bytes.Join([][]byte{
		cborHead(5, 5),
		{1},
		{1},
		{2},
		cborBytes(signer[:]),
		{3},
		cborHead(0, epoch+1),
		{4},
		cborBytes(header[:]),
		{5},
		cborBytes(under),
	}, nil))

	proof := SealSignerMessage(certs[0], echoRaw)
	if want := bytes.Join([][]byte{{byte(len(certs[0]) >> 8), byte(len(certs[0]))}, certs[0], echoRaw}, nil); !bytes.Equal(proof, want) {
		t.Errorf("message:\n got %x\nwant %x", proof, want)
	}
	vote := &Vote{
		Signer: signer, Epoch: epoch + 1, Previous: [32]byte{8},
		Relays:  []RelayVote{{Key: [8]byte{9}, Descriptor: [16]byte{10}, Tried: 3, Reached: 1, Bandwidth: 40, Failures: UnknownFailures, Flags: VoteConflict}},
		Pending: []Pending{{Epoch: epoch, Attempt: 3, Header: header}},
		Proofs:  [][]byte{proof},
	}
	raw, err = vote.Sign(network, online)
	check(t, err)
	relay := make([]byte, 32)
	relay[0], relay[8], relay[24], relay[25], relay[26], relay[27] = 9, 10, 0x31, 40, 255, 1
	pending := append([]byte{0, 0, 0, 0, byte(epoch >> 24), byte(epoch >> 16), byte(epoch >> 8), byte(epoch), 3}, header[:]...)
	previous := [32]byte{8}
	compare("vote", raw, "vote", bytes.Join([][]byte{
		cborHead(5, 7),
		{1},
		{1},
		{2},
		cborBytes(signer[:]),
		{3},
		cborHead(0, epoch+1),
		{4},
		cborBytes(previous[:]),
		{7},
		cborBytes(relay),
		{9},
		cborBytes(pending),
		{10},
		cborHead(4, 1), cborBytes(proof),
	}, nil))
}
