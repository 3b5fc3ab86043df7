package proxy

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// NewTransport returns what a Handler sends requests with. It connects within
// 10 s, finishes the TLS handshake, 1.2 or later, within 10 s more, and waits a
// minute for an answer to begin once the request was sent. It goes through the
// proxy named by HTTPS_PROXY, HTTP_PROXY and NO_PROXY of this process. With
// outside it connects to no address of this machine and to none of its link.
// Whoever made it closes its idle connections.
func NewTransport(outside bool) *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}
	dial := dialer.DialContext
	if outside {
		dial = dialOutside
	}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dial,
		TLSHandshakeTimeout:    10 * time.Second,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 10 * time.Second},
		MaxIdleConns:           64,
		MaxIdleConnsPerHost:    32,
		IdleConnTimeout:        90 * time.Second,
		ResponseHeaderTimeout:  time.Minute,
		ExpectContinueTimeout:  time.Second,
		DisableCompression:     true,
		MaxResponseHeaderBytes: 256 << 10,
	}
}

// dialOutside is used for hosts whose names come from the task. The address is
// judged after the name was resolved. Port 443 is the host itself; another is
// the operator's own proxy, wherever that is.
func dialOutside(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}
	if _, port, err := net.SplitHostPort(address); err == nil && port == "443" {
		dialer.Control = func(_, address string, _ syscall.RawConn) error {
			to, err := netip.ParseAddrPort(address)
			if err != nil || inside(to.Addr()) {
				return errInside
			}
			return nil
		}
	}
	return dialer.DialContext(ctx, network, address)
}

// inside tells whether an address is this machine's own or of its link, where
// the metadata service of a cloud is.
func inside(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsLoopback() || a.IsUnspecified() || a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsInterfaceLocalMulticast()
}
