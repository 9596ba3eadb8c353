package session

import (
	"crypto/rand"
	"testing"
)

// BenchmarkEncrypt seals one frame in a running chain.
func BenchmarkEncrypt(b *testing.B) {
	_, bob := pairUp(rand.Reader)
	for b.Loop() {
		must(bob.SealAck(rand.Reader, testNow))
		bob.ratchet.ns = 0
	}
}

// BenchmarkEncryptDecrypt seals and opens one frame within chains.
func BenchmarkEncryptDecrypt(b *testing.B) {
	alice, bob := pairUp(rand.Reader)
	for b.Loop() {
		must(alice.Open(testNow, must(bob.SealAck(rand.Reader, testNow)).Inner))
		bob.ratchet.ns, alice.ratchet.recv.next = 0, 0
	}
}

// BenchmarkTurn seals one frame in a new chain and opens it: a root step on
// both sides.
func BenchmarkTurn(b *testing.B) {
	alice, bob := pairUp(rand.Reader)
	for b.Loop() {
		must(bob.Open(testNow, must(alice.SealAck(rand.Reader, testNow)).Inner))
		alice, bob = bob, alice
	}
}

// BenchmarkJunk rejects an inner block that no key opens, with all archived
// chains to try.
func BenchmarkJunk(b *testing.B) {
	alice, bob := pairUp(rand.Reader)
	for range maxArchived + 1 {
		turn(b, rand.Reader, bob, alice)
		turn(b, rand.Reader, alice, bob)
	}
	junk := make([]byte, InnerSize)
	junk[0], junk[1] = innerVersion, byte(InnerRatchet)
	for b.Loop() {
		if _, err := alice.Open(testNow, junk); err == nil {
			b.Fatal("opened")
		}
	}
}

// BenchmarkOuter seals and opens the outside of a block.
func BenchmarkOuter(b *testing.B) {
	a := testQAddr(rand.Reader)
	inner := make([]byte, InnerSize)
	for b.Loop() {
		block, _, err := a.Seal(inner)
		if err != nil {
			b.Fatal(err)
		}
		must(OpenBlock(a.Key, a.SID, block))
	}
}

// BenchmarkState writes and reads a state.
func BenchmarkState(b *testing.B) {
	alice, bob := pairUp(rand.Reader)
	turn(b, rand.Reader, bob, alice)
	for b.Loop() {
		must(ParseState(alice.Append(nil)))
	}
}

// BenchmarkExchange is one post-quantum exchange: offer, answer, finish.
func BenchmarkExchange(b *testing.B) {
	for b.Loop() {
		dk := must(newOffer(rand.Reader))
		x := exchange{phase: phaseAsked, ek: dk.EncapsulationKey().Bytes()}
		m := must(x.answer(1))
		y := exchange{phase: phaseOffered}
		copy(y.seed[:], dk.Bytes())
		y.finish(1, m.Content[4:4+kemTextSize], m.Content[4+kemTextSize:])
		if y.phase != phaseMixing {
			b.Fatal("not finished")
		}
	}
}
