package circuit

import (
	"context"
	"net"
	"net/netip"
	"time"
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
	var guard netip.AddrPort
	var down bool
	for {
		if to, ok := p.guardAddr(); ok {
			now := p.cfg.Source(to)
			switch {
			case !now.IsValid():
				if !down {
					p.post(func() { p.selector.LikelyOffline(time.Now()) })
				}
				down = true
			case down || to == guard && now != last:
				down = false
				p.post(func() { p.networkChanged(time.Now()) })
				fallthrough
			default: // another guard may be reached from elsewhere
				last, guard = now, to
			}
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

// guardAddr returns an address of the guard in use.
func (p *Pool) guardAddr() (netip.AddrPort, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.guardNow == nil || len(p.guardNow.Addrs) == 0 {
		return netip.AddrPort{}, false
	}
	return p.guardNow.Addrs[0], true
}
