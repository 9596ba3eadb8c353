package directory

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"time"
)

// makeJoinVectors builds what relays join by, from fixed keys and times. Proofs of
// work are inputs and outputs one behind the other.
func makeJoinVectors(t testing.TB) (*network, []vector) {
	f := testFile(false, JoinToken|JoinVouch|JoinOpen)
	f.Inviters = []Inviter{{Public: publicOf(testKey("inviter")), Expires: testTime.Add(time.Hour), Label: "club"}}
	n := foundNetwork(t, f)
	id := RelayID(publicOf(testKey(nameOf(1))))
	flip := func(b []byte, at int) []byte {
		b = bytes.Clone(b)
		b[at] ^= 1
		return b
	}
	invitation := n.token(3)
	delegated, err := IssueToken(n.id, testKey("inviter"), [32]byte{8}, testTime.Add(24*time.Hour), 1)
	check(t, err)
	stranger, err := IssueToken(n.id, testKey("stranger"), [32]byte{8}, testTime.Add(24*time.Hour), 1)
	check(t, err)
	vouch := SignVouch(n.id, testKey("family"), id, testTime.Add(24*time.Hour))
	second := SignVouch(n.id, testKey("second family"), id, testTime.Add(24*time.Hour))
	two, err := VouchAdmission(vouch, second)
	check(t, err)
	family := SignFamily(n.id, testKey("family"), id, testTime.Add(24*time.Hour))
	cert := family.Append(nil, id)
	token := invitation.Admission(n.id, id)
	swapped := slices.Concat(two[:1], two[1+VouchSize:], two[1:1+VouchSize])
	work := func(w WorkWindow, nonce []byte) []byte {
		salt := WorkSalt(n.id, id, w)
		b := slices.Concat(n.id[:], id[:], binary.BigEndian.AppendUint32(nil, w.Number), w.Value[:], []byte{byte(len(nonce))}, nonce, salt[:])
		return append(b, byte(WorkBits(salt, nonce)))
	}
	return n, []vector{
		{"file", "with-an-inviter", "ok", n.raw},
		{"invitation", "three-uses", "ok", invitation.Bytes()},
		{"invitation", "key-of-another-token", "bad-token", slices.Concat(invitation.Token.Bytes(), make([]byte, 32))},
		{"invitation", "without-key", "bad-token", invitation.Token.Bytes()},
		{"admission", "token", "ok", token},
		{"admission", "token-by-an-inviter", "ok", delegated.Admission(n.id, id)},
		{"admission", "token-by-a-stranger", "no-issuer", stranger.Admission(n.id, id)},
		{"admission", "token-of-another-relay", "bad-token", invitation.Admission(n.id, RelayID{1})},
		{"admission", "token-of-another-network", "bad-token", slices.Concat(token[:137], invitation.Admission(NetworkID{1}, id)[137:])},
		{"admission", "token-alone", "bad-token", token[:1+TokenSize]},
		{"admission", "two-vouches", "ok", two},
		{"admission", "vouches-out-of-order", "bad-vouch", swapped},
		{"admission", "same-vouch-twice", "bad-vouch", slices.Concat(two[:1+VouchSize], two[1:1+VouchSize])},
		{"admission", "changed-vouch", "bad-vouch", flip(two, 90)},
		{"admission", "no-vouches", "bad-vouch", []byte{4}},
		{"vouch", "for-a-day", "ok", vouch.Append(nil)},
		{"vouch", "truncated", "bad-vouch", vouch.Append(nil)[:135]},
		{"vouch", "year-10000", "bad-vouch", slices.Concat(vouch.Append(nil)[:64], u64(maxUnix+1), vouch.Signature[:])},
		{"family", "for-a-day", "ok", cert},
		{"family", "of-another-relay", "bad-family", flip(cert, 40)},
		{"family", "a-vouch", "bad-family", vouch.Append(nil)},
		{"work", "nine-bits", "ok", work(WorkWindow{Number: 4166, Value: [32]byte{1, 2, 3}}, append([]byte{7: 0x49}, make([]byte, 8)...))},
		{"work", "four-bits-by-one-byte", "ok", work(WorkWindow{Number: 4165, Value: [32]byte{}}, []byte{9})},
	}
}

// TestJoinVectors: SPEC.md §4, §18 and §19. The bits of the works were checked by
// another implementation of Argon2id.
func TestJoinVectors(t *testing.T) {
	n, made := makeJoinVectors(t)
	id := RelayID(publicOf(testKey(nameOf(1))))
	testVectorFile(t, "testdata/join.txt", made, func(v vector) ([]byte, string) {
		switch v.kind {
		case "file":
			c, err := VerifyChain(n.id, [][]byte{v.data}, testTime)
			if err != nil {
				return nil, joinClass(err)
			}
			return c.Raw(1)[0], "ok"
		case "invitation":
			i, err := ParseInvitation(v.data)
			return i.Bytes(), joinClass(err)
		case "admission":
			d := &Descriptor{ID: id, Admission: v.data}
			err := n.chain.Rules().admit(d, testTime)
			if list := d.Vouches(); err == nil && list != nil {
				again, err := VouchAdmission(list...)
				return again, joinClass(err)
			}
			p, _ := d.TokenProof()
			return slices.Concat([]byte{2}, p.Token.Bytes(), p.Key[:], p.Signature[:]), joinClass(err)
		case "vouch":
			w, err := ParseVouch(v.data)
			return w.Append(nil), joinClass(err)
		case "family":
			f, id, err := ParseFamily(n.id, v.data)
			return f.Append(nil, id), joinClass(err)
		}
		d := v.data
		nonce := d[101 : 101+int(d[100])]
		salt := WorkSalt(NetworkID(d), RelayID(d[32:]), WorkWindow{Number: binary.BigEndian.Uint32(d[64:]), Value: [32]byte(d[68:])})
		return append(slices.Concat(d[:101+len(nonce)], salt[:]), byte(WorkBits(salt, nonce))), "ok"
	})
}

func joinClass(err error) string {
	for _, c := range []struct {
		name string
		err  error
	}{{"no-issuer", ErrNoIssuer}, {"bad-token", ErrBadToken}, {"bad-vouch", ErrBadVouch}, {"bad-family", ErrBadFamily}} {
		if errors.Is(err, c.err) {
			return c.name
		}
	}
	return classOf(err)
}
