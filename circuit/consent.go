package circuit

// Consent gives or takes back the user's consent to use a snapshot that is
// more than three days old, with the guards there are. Whoever can keep newer
// snapshots from a client could otherwise choose for it; so it takes a person
// to say so, and it ends when a snapshot comes that needs none, or with the
// pool. Older than seven days, none is used.
func (p *Pool) Consent(given bool) {
	p.post(func() { p.selector.Consent(given) })
}

// NeedsConsent tells whether circuits are not built for want of consent alone;
// Why says it in words.
func (p *Pool) NeedsConsent() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.needsConsent
}

func (p *Pool) setConsent(needed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.needsConsent = needed
}
