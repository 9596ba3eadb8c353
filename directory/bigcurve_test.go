package directory

import (
	"crypto/sha512"
	"math/big"
	"slices"
)

// A second implementation of blinding, after the equations of RFC 8032 and of
// SPEC.md §21 in plain integers. It shares no code with the first.

// bigPoint is a point of the curve −x² + y² = 1 + d·x²·y².
type bigPoint struct{ x, y *big.Int }

func bigInt(s string) *big.Int {
	n, ok := new(big.Int).SetString(s, 0)
	if !ok {
		panic(s)
	}
	return n
}

// The field's prime and the curve's d.
var (
	bigP = bigInt("0x7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffed")
	bigD = bigCurveD()
)

func bigOrder() *big.Int {
	return new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), 252), bigInt("27742317777372353535851937790883648493"))
}

func bigCurveD() *big.Int {
	d := new(big.Int).ModInverse(big.NewInt(121666), bigP)
	d.Mul(d, big.NewInt(-121665))
	return d.Mod(d, bigP)
}

func bigBase() bigPoint {
	p := bigP
	y := new(big.Int).ModInverse(big.NewInt(5), p)
	y.Mul(y, big.NewInt(4)).Mod(y, p)
	q, ok := bigFromY(y, 0)
	if !ok {
		panic("base point")
	}
	return q
}

// bigFromY recovers x from x² = (y²−1)/(d·y²+1).
func bigFromY(y *big.Int, sign uint) (bigPoint, bool) {
	p := bigP
	one := big.NewInt(1)
	y2 := new(big.Int).Mul(y, y)
	num := new(big.Int).Sub(y2, one)
	den := new(big.Int).Mul(bigD, y2)
	den.Add(den, one).Mod(den, p)
	x := num.Mul(num, den.ModInverse(den, p))
	x.Mod(x, p)
	if x.ModSqrt(x, p) == nil {
		return bigPoint{}, false
	}
	if x.Bit(0) != sign {
		x.Sub(p, x).Mod(x, p)
	}
	return bigPoint{x, new(big.Int).Set(y)}, true
}

func (a bigPoint) add(b bigPoint) bigPoint {
	p := bigP
	t := new(big.Int).Mul(a.x, b.x)
	t.Mul(t, a.y).Mul(t, b.y).Mul(t, bigD).Mod(t, p)
	x := new(big.Int).Mul(a.x, b.y)
	x.Add(x, new(big.Int).Mul(a.y, b.x))
	x.Mul(x, new(big.Int).ModInverse(new(big.Int).Add(big.NewInt(1), t), p)).Mod(x, p)
	y := new(big.Int).Mul(a.y, b.y)
	y.Add(y, new(big.Int).Mul(a.x, b.x))
	den := new(big.Int).Sub(big.NewInt(1), t)
	y.Mul(y, den.ModInverse(den.Mod(den, p), p)).Mod(y, p)
	return bigPoint{x, y}
}

func (a bigPoint) times(k *big.Int) bigPoint {
	sum := bigPoint{new(big.Int), big.NewInt(1)}
	for i := k.BitLen() - 1; i >= 0; i-- {
		sum = sum.add(sum)
		if k.Bit(i) == 1 {
			sum = sum.add(a)
		}
	}
	return sum
}

func (a bigPoint) bytes() [32]byte {
	b := littleEndian(a.y)
	b[31] |= byte(a.x.Bit(0)) << 7
	return b
}

func littleEndian(n *big.Int) [32]byte {
	var b [32]byte
	n.FillBytes(b[:])
	slices.Reverse(b[:])
	return b
}

func fromLittleEndian(b []byte) *big.Int {
	b = slices.Clone(b)
	slices.Reverse(b)
	return new(big.Int).SetBytes(b)
}

func bigParse(b [32]byte) (bigPoint, bool) {
	sign := uint(b[31] >> 7)
	b[31] &= 0x7f
	return bigFromY(fromLittleEndian(b[:]), sign)
}

func bigHash(parts ...[]byte) *big.Int {
	h := sha512.Sum512(slices.Concat(parts...))
	n := fromLittleEndian(h[:])
	return n.Mod(n, bigOrder())
}

// bigBlind returns the blinded public key of a root key.
func bigBlind(network, root [32]byte, period []byte) [32]byte {
	a, ok := bigParse(root)
	if !ok {
		panic("no point")
	}
	return a.times(bigHash([]byte("hearsay/1 blind\x00"), network[:], root[:], period)).bytes()
}

// bigSign signs with the blinded key of a seed and returns the public key too.
func bigSign(network [32]byte, seed, period, message []byte) (public [32]byte, signature []byte) {
	l := bigOrder()
	expanded := sha512.Sum512(seed)
	expanded[0] &= 248
	expanded[31] = expanded[31]&127 | 64
	a := fromLittleEndian(expanded[:32])
	root := bigBase().times(a).bytes()
	h := bigHash([]byte("hearsay/1 blind\x00"), network[:], root[:], period)
	blinded := new(big.Int).Mul(h, a)
	blinded.Mod(blinded, l)
	public = bigBase().times(blinded).bytes()
	prefix := sha512.Sum512(slices.Concat([]byte("hearsay/1 blind nonce\x00"), expanded[32:], period))
	r := bigHash(prefix[:32], public[:], message)
	rPoint := bigBase().times(r).bytes()
	s := bigHash(rPoint[:], public[:], message)
	s.Mul(s, blinded).Add(s, r).Mod(s, l)
	sBytes := littleEndian(s)
	return public, append(rPoint[:], sBytes[:]...)
}
