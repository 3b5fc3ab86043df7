package queue

import (
	"crypto/tls"
	"net"
	"net/http"
	"time"
)

const (
	connectTimeout   = 10 * time.Second
	handshakeTimeout = 10 * time.Second
)

// NewHTTPClient returns a client for the queue and for artifact storage. It
// connects within 10 s and finishes the TLS handshake, 1.2 or later, within
// 10 s more; it goes through the proxy named by HTTPS_PROXY, HTTP_PROXY and
// NO_PROXY; it keeps enough connections for many uploads at once and notices
// dead ones; it never asks for compressed answers nor decodes them, and returns
// redirects instead of following them. It has no time-out of its own beyond
// that: every request needs a context that ends.
func NewHTTPClient() *http.Client {
	dialer := &net.Dialer{Timeout: connectTimeout, KeepAlive: 15 * time.Second}
	return &http.Client{
		CheckRedirect: keepRedirect,
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            dialer.DialContext,
			TLSHandshakeTimeout:    handshakeTimeout,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2:      true,
			HTTP2:                  &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 10 * time.Second},
			MaxIdleConns:           128,
			MaxIdleConnsPerHost:    64,
			IdleConnTimeout:        90 * time.Second,
			ExpectContinueTimeout:  time.Second,
			DisableCompression:     true,
			MaxResponseHeaderBytes: 256 << 10,
			WriteBufferSize:        32 << 10,
		},
	}
}

func keepRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
