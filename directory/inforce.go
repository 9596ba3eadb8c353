package directory

import "time"

// InForce returns the chain up to the version that signers use for a snapshot of
// time t: the newest that was created by then (SPEC.md §13.4). Its Current is that
// version.
func (c *Chain) InForce(t time.Time) *Chain {
	n := len(c.files)
	for n > 1 && c.files[n-1].Created.After(t) {
		n--
	}
	return &Chain{id: c.id, files: c.files[:n:n], hashes: c.hashes[:n:n], raws: c.raws[:n:n]}
}

// signsFrom tells whether the key is a signer's of the version in force at t or of
// a later one: signers that are to come may already listen and speak.
func (c *Chain) signsFrom(key [32]byte, t time.Time) bool {
	for v := c.InForce(t).Current().Version; v <= c.Current().Version; v++ {
		if hasKey(c.files[v-1].Signers, key) {
			return true
		}
	}
	return false
}
