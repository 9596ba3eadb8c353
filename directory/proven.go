package directory

// Proves tells whether the signers' messages prove that k signers named the header
// in the attempt at which a vote says that it was signed: signers of the version of
// the network file in force at the time of that epoch (SPEC.md §16.5). What k have
// not named, no honest signer has signed.
func (c *Chain) Proves(p Pending, messages [][]byte) bool {
	at := EpochTime(c.Current().Lab, p.Epoch)
	file := c.InForce(at).Current()
	named := make(map[[32]byte]bool)
	for _, raw := range messages {
		m, err := c.ParseSignerMessage(raw, at)
		if err != nil || m.Echo == nil || !hasKey(file.Signers, m.Signer()) {
			continue // of another pending header
		}
		if e := m.Echo; e.Epoch == p.Epoch && e.Attempt == p.Attempt && e.Header == p.Header {
			named[m.Signer()] = true
		}
	}
	return len(named) >= SignThreshold(len(file.Signers))
}
