package fetch

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"
)

const (
	connectTimeout   = 10 * time.Second
	handshakeTimeout = 10 * time.Second
)

func newTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: connectTimeout, KeepAlive: 15 * time.Second, ControlContext: mayConnect}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		TLSHandshakeTimeout:    handshakeTimeout,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 10 * time.Second},
		MaxIdleConns:           64,
		MaxIdleConnsPerHost:    defaultPerHost,
		IdleConnTimeout:        90 * time.Second,
		DisableCompression:     true,
		MaxResponseHeaderBytes: 256 << 10,
		ReadBufferSize:         64 << 10,
	}
}

// refusedPlace is a place that is never downloaded from.
type refusedPlace struct{ host string }

func (r *refusedPlace) Error() string {
	return fmt.Sprintf("%s is a link-local address; nothing is downloaded from there", r.host)
}

// mayConnect looks at the address that a name resolved to.
func mayConnect(_ context.Context, _, address string, _ syscall.RawConn) error {
	if at, err := netip.ParseAddrPort(address); err == nil && isMetadata(at.Addr()) {
		return &refusedPlace{at.Addr().String()}
	}
	return nil
}

// isMetadata tells whether an address is where clouds tell machines their
// credentials: 169.254.169.254 and its like, and the one of AWS for IPv6.
func isMetadata(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsLinkLocalUnicast() || a.WithZone("") == netip.MustParseAddr("fd00:ec2::254")
}

// checked returns a URL if it can be downloaded from. Its error does not quote
// the text, which may carry a password.
func checked(where *url.URL, err error) (*url.URL, error) {
	switch {
	case err != nil:
		return nil, permanent("the URL is not valid")
	case where.Scheme != "http" && where.Scheme != "https":
		return nil, permanent("it is at a %q address; only http and https are downloaded from", where.Scheme)
	case where.Hostname() == "":
		return nil, permanent("the URL has no host")
	}
	if at, err := netip.ParseAddr(where.Hostname()); err == nil && isMetadata(at) {
		return nil, &failure{err: &refusedPlace{where.Hostname()}}
	}
	return where, nil
}

// shown is a URL as it may be written into logs.
func shown(where *url.URL) string {
	return (&url.URL{Scheme: where.Scheme, Host: where.Host, Path: where.Path, RawPath: where.RawPath}).String()
}
