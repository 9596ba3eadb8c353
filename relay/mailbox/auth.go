package mailbox

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"

	"hearsay/directory"
)

// Auth is the state that binds commands to one stream of one relay: both ends
// keep one and count the client's commands, OPEN being number 0 (SPEC.md §4).
// It is not safe for concurrent use.
type Auth struct {
	Network directory.NetworkID
	Relay   directory.RelayID
	Nonce   [32]byte // of HELLO
	Counter uint64   // of the command that is made or checked
}

// text returns A for a command whose data without its authenticator is data.
func (a *Auth) text(c Command, data []byte) []byte {
	b := make([]byte, 0, len(labelAuth)+32+32+32+8+1+len(data))
	b = append(b, labelAuth...)
	b = append(b, a.Network[:]...)
	b = append(b, a.Relay[:]...)
	b = append(b, a.Nonce[:]...)
	b = binary.BigEndian.AppendUint64(b, a.Counter)
	b = append(b, byte(c))
	return append(b, data...)
}

func (a *Auth) sign(key ed25519.PrivateKey, c Command, data []byte) [SigSize]byte {
	return [SigSize]byte(ed25519.Sign(key, a.text(c, data)))
}

// SignNew sets the signature of m.
func (a *Auth) SignNew(m *New, key ed25519.PrivateKey) { m.Sig = a.sign(key, CmdNew, m.unsigned(nil)) }

// SignSub sets the signature of m.
func (a *Auth) SignSub(m *Sub, key ed25519.PrivateKey) { m.Sig = a.sign(key, CmdSub, m.unsigned(nil)) }

// SignRotCap sets the signature of m.
func (a *Auth) SignRotCap(m *RotCap, key ed25519.PrivateKey) {
	m.Sig = a.sign(key, CmdRotCap, m.unsigned(nil))
}

// SignDel sets the signature of m.
func (a *Auth) SignDel(m *Del, key ed25519.PrivateKey) { m.Sig = a.sign(key, CmdDel, m.unsigned(nil)) }

// SealSend sets the MAC of m.
func (a *Auth) SealSend(m *Send, capability [32]byte) { m.MAC = a.mac(m, capability) }

// VerifyNew checks m under the key it names.
func (a *Auth) VerifyNew(m New) bool {
	return verify(m.RPK, a.text(CmdNew, m.unsigned(nil)), m.Sig)
}

// VerifySub checks m under the key of the queue.
func (a *Auth) VerifySub(m Sub, rpk [32]byte) bool {
	return verify(rpk, a.text(CmdSub, m.unsigned(nil)), m.Sig)
}

// VerifyRotCap checks m under the key of the queue.
func (a *Auth) VerifyRotCap(m RotCap, rpk [32]byte) bool {
	return verify(rpk, a.text(CmdRotCap, m.unsigned(nil)), m.Sig)
}

// VerifyDel checks m under the key of the queue.
func (a *Auth) VerifyDel(m Del, rpk [32]byte) bool {
	return verify(rpk, a.text(CmdDel, m.unsigned(nil)), m.Sig)
}

// VerifySend checks m under the capability of the queue, in constant time.
func (a *Auth) VerifySend(m *Send, capability [32]byte) bool {
	want := a.mac(m, capability)
	return hmac.Equal(want[:], m.MAC[:])
}

func (a *Auth) mac(m *Send, capability [32]byte) [MACSize]byte {
	h := hmac.New(sha256.New, capability[:])
	h.Write(a.text(CmdSend, m.unsigned(nil)))
	return [MACSize]byte(h.Sum(nil))
}

// RIDOf returns the id of the queue with the public key rpk.
func RIDOf(rpk [32]byte) RID {
	h := sha256.New()
	h.Write([]byte(labelRID))
	h.Write(rpk[:])
	return RID(h.Sum(nil))
}

// sidOf derives the sender's id of a queue from the relay's secret.
func sidOf(secret [32]byte, r RID) SID { return SID(keyed(secret, labelSID, r[:])) }

func keyed(secret [32]byte, label string, data []byte) []byte {
	var h hash.Hash = hmac.New(sha256.New, secret[:])
	h.Write([]byte(label))
	h.Write(data)
	return h.Sum(nil)
}
