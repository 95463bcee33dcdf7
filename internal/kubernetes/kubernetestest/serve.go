// SPDX-License-Identifier: Apache-2.0

package kubernetestest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

// pair is a certificate of its own, and what vouches for it.
type pair struct {
	certificate tls.Certificate
	authority   []byte // PEM
}

// newPair makes a certificate for an address.
func newPair(a netip.Addr) (pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "kubernetestest"}, IPAddresses: []net.IP{a.AsSlice()},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return pair{tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}, err
}

// Serve answers what comes by a listener, until [Server.Away]. The certificate
// stays the same from the first call on.
func (s *Server) Serve(l net.Listener) error {
	at, err := netip.ParseAddrPort(l.Addr().String())
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pair.authority == nil {
		if s.pair, err = newPair(at.Addr()); err != nil {
			return err
		}
	}
	s.listener = l
	s.server = &http.Server{Handler: s, TLSConfig: &tls.Config{Certificates: []tls.Certificate{s.pair.certificate}, MinVersion: tls.VersionTLS12}, ReadHeaderTimeout: time.Minute,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	server := s.server
	go func() { _ = server.ServeTLS(l, "", "") }()
	return nil
}

// Away ends the listener and all connections.
func (s *Server) Away() {
	s.mu.Lock()
	server := s.server
	s.mu.Unlock()
	if server != nil {
		_ = server.Close()
	}
}

// Account writes a pod's service account into a directory: the certificate
// authority, a namespace and a token.
func (s *Server) Account(dir, namespace, token string) error {
	s.mu.Lock()
	authority := s.pair.authority
	s.mu.Unlock()
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "ca.crt"), authority, 0o644),
		os.WriteFile(filepath.Join(dir, "namespace"), []byte(namespace), 0o644),
		os.WriteFile(filepath.Join(dir, "token"), []byte(token+"\n"), 0o600),
	)
}

// Environment is what a pod's environment says of the server, by variable.
func (s *Server) Environment() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	host, port, _ := net.SplitHostPort(s.listener.Addr().String())
	return map[string]string{"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}
}
