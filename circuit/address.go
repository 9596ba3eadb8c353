package circuit

import (
	"context"
	"net"
	"net/netip"
	"time"

	"hearsay/directory"
)

// sourceAddress returns the address of this computer from which packets to a
// relay leave, or the zero address if there is no route. It sends nothing.
func sourceAddress(to netip.AddrPort) netip.Addr {
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		return netip.Addr{}
	}
	defer c.Close()
	a, ok := c.LocalAddr().(*net.UDPAddr)
	if !ok {
		return netip.Addr{}
	}
	return a.AddrPort().Addr().Unmap()
}

// watchAddress looks every two seconds from which address the guard is reached,
// and tells Run when that changes. It ends with ctx.
func (p *Pool) watchAddress(ctx context.Context) {
	t := time.NewTicker(addressEvery)
	defer t.Stop()
	var last netip.Addr
	var guard directory.RelayID
	var lost []netip.AddrPort // of the guard that there was no way to; nil: there is one
	for {
		if to, addrs := p.guardAddrs(); len(addrs) > 0 {
			now := p.source(addrs)
			switch {
			case !now.IsValid():
				if lost == nil {
					p.post(func() { p.selector.LikelyOffline(time.Now()) })
				}
				if lost == nil || to == guard { // one that was reached before says most
					lost = addrs
				}
			case lost != nil && p.source(lost).IsValid(), lost == nil && to == guard && now != last:
				p.post(func() { p.networkChanged(time.Now()) })
				fallthrough
			default: // another guard may be reached from elsewhere
				last, guard, lost = now, to, nil
			}
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

// source returns the address from which the first of a relay's addresses is
// reached that there is a way to, as links dial them: many computers have none
// to addresses of IPv6.
func (p *Pool) source(addrs []netip.AddrPort) netip.Addr {
	for _, to := range addrs {
		if a := p.cfg.Source(to); a.IsValid() {
			return a
		}
	}
	return netip.Addr{}
}

// guardAddrs returns the guard in use and its addresses, none if there is none.
func (p *Pool) guardAddrs() (directory.RelayID, []netip.AddrPort) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.guardNow == nil {
		return directory.RelayID{}, nil
	}
	return p.guardNow.ID, p.guardNow.Addrs
}
