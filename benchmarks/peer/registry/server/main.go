// A registry that answers from memory, so that a client is all there is to measure.
//
//	server -latency 50ms -tags 50 -hosts 127.0.0.1,127.0.0.2 [-tls ca.pem]
//
// Prints the port, then serves every repository there is, with the same tags. At /requests it tells how many requests
// there were since the last time somebody asked.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

const manifestType = "application/vnd.oci.image.manifest.v1+json"

func main() {
	latency := flag.Duration("latency", 0, "wait this long before every answer")
	count := flag.Int("tags", 50, "tags of every repository")
	page := flag.Int("page", 1000, "most tags of one page")
	hosts := flag.String("hosts", "127.0.0.1", "addresses to listen on, with one port")
	ca := flag.String("tls", "", "serve over TLS and write the certificate to this file")
	flag.Parse()

	tags := make([]string, *count)
	for i := range tags {
		tags[i] = fmt.Sprintf("1.%d.%d", i/100, i%100)
	}
	sort.Strings(tags)
	manifest := []byte(`{"schemaVersion":2,"mediaType":"` + manifestType + `","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:` + strings.Repeat("0", 64) + `","size":2},"layers":[]}`)
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(manifest))
	var requests atomic.Int64

	answer := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/requests" {
			fmt.Fprint(w, requests.Swap(0))
			return
		}
		requests.Add(1)
		time.Sleep(*latency)
		switch {
		case strings.HasSuffix(r.URL.Path, "/tags/list"):
			n, err := strconv.Atoi(r.URL.Query().Get("n"))
			if err != nil || n > *page {
				n = *page
			}
			from := sort.SearchStrings(tags, r.URL.Query().Get("last")+"\x00")
			if r.URL.Query().Get("last") == "" {
				from = 0
			}
			to := min(from+n, len(tags))
			if to < len(tags) {
				w.Header().Set("Link", fmt.Sprintf(`<%s?n=%d&last=%s>; rel="next"`, r.URL.Path, n, tags[to-1]))
			}
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(map[string]any{"name": "x", "tags": tags[from:to]})
		case strings.Contains(r.URL.Path, "/manifests/"):
			w.Header().Set("Content-Type", manifestType)
			w.Header().Set("Docker-Content-Digest", digest)
			w.Header().Set("Content-Length", strconv.Itoa(len(manifest)))
			if r.Method == http.MethodGet {
				_, _ = w.Write(manifest)
			}
		default:
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, "{}")
		}
	}

	server := &http.Server{Handler: http.HandlerFunc(answer), ErrorLog: log.New(os.Stderr, "", 0)}
	addresses := strings.Split(*hosts, ",")
	if *ca != "" {
		server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate(addresses, *ca)}}
	}
	port := "0"
	for _, host := range addresses {
		listener, err := net.Listen("tcp", net.JoinHostPort(host, port))
		if err != nil {
			log.Fatal(err)
		}
		_, port, _ = net.SplitHostPort(listener.Addr().String())
		go func() {
			if *ca != "" {
				log.Fatal(server.ServeTLS(listener, "", ""))
			}
			log.Fatal(server.Serve(listener))
		}()
	}
	fmt.Println(port)
	select {}
}

func certificate(hosts []string, file string) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "benchmark"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, host := range hosts {
		template.IPAddresses = append(template.IPAddresses, net.ParseIP(host))
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		log.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
