package config

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// fieldsOf maps keywords to the fields of Resolved that a connection uses. The other honoured
// keywords affect the resolution itself.
var fieldsOf = map[string][]string{
	"user": {"User"}, "hostname": {"HostName"}, "port": {"Port"}, "addressfamily": {"AddressFamily"},
	"hashknownhosts": {"HashKnownHosts"}, "identitiesonly": {"IdentitiesOnly"},
	"kbdinteractiveauthentication": {"AuthMethods"},
	"passwordauthentication":       {"AuthMethods"},
	"pubkeyauthentication":         {"AuthMethods", "PubkeyAuthentication"},
	"stricthostkeychecking":        {"StrictHostKeyChecking"},
	"serveraliveinterval":          {"ServerAliveInterval"}, "requiredrsasize": {"RequiredRSASize"},
	"bindaddress": {"BindAddress"}, "bindinterface": {"BindInterface"},
	"ciphers": {"Ciphers"}, "macs": {"MACs"}, "kexalgorithms": {"KexAlgorithms"},
	"hostkeyalgorithms": {"HostKeyAlgorithms", "HostKeyAlgorithmsSet"}, "hostkeyalias": {"HostKeyAlias"},
	"forwardagent": {"ForwardAgent"}, "identityagent": {"IdentityAgent"}, "pubkeyacceptedalgorithms": {"PubkeyAcceptedAlgorithms"},
	"revokedhostkeys": {"RevokedHostKeys"}, "identityfile": {"IdentityFiles", "DefaultIdentities"},
	"certificatefile": {"CertificateFiles"}, "globalknownhostsfile": {"GlobalKnownHostsFiles"},
	"userknownhostsfile": {"UserKnownHostsFiles"}, "setenv": {"Env"}, "sendenv": {"Env"}, "connecttimeout": {"ConnectTimeout"},
	"rekeylimit": {"RekeyBytes", "RekeyInterval"},

	"batchmode": {"AuthMethods", "BatchMode"}, "requesttty": {"RequestTTY"}, "tcpkeepalive": {"TCPKeepAlive"}, "connectionattempts": {"ConnectionAttempts"},
	"numberofpasswordprompts": {"AuthMethods"}, "serveralivecountmax": {"ServerAliveCountMax"},
	"casignaturealgorithms":    {"CASignatureAlgorithms"},
	"preferredauthentications": {"AuthMethods"},

	"gssapiauthentication": {"Program"}, "gssapidelegatecredentials": {"Program"}, "hostbasedauthentication": {"Program"},
	"hostbasedacceptedalgorithms": {"Program"}, "controlpath": {"Program"}, "pkcs11provider": {"Program"},
	"knownhostscommand": {"Program"}, "securitykeyprovider": {"Program"},
	"gssapiserveridentity": {"Program"}, "gssapiclientidentity": {"Program"},
}

// inResolution are the honoured keywords that only this package uses.
var inResolution = map[string]bool{
	"canonicalizefallbacklocal": true, "canonicalizehostname": true, "canonicalizemaxdots": true,
	"canonicaldomains": true, "canonicalizepermittedcnames": true, "ignoreunknown": true, "tag": true,
	"refuseconnection": true, "proxycommand": true, "proxyjump": true, "host": true, "match": true, "include": true,
}

// A keyword is classed as honoured exactly if code outside this package reads its value: a
// false claim would be a security defect.
func TestClassesAreTrue(t *testing.T) {
	read := fieldsRead(t)
	for i := range keywordTable {
		k := &keywordTable[i]
		fields := fieldsOf[k.name]
		switch {
		case k.class == Honoured && inResolution[k.name]:
		case k.class == Honoured && fields == nil:
			t.Errorf("%s is honoured: by which field of Resolved?", k.name)
		}
		for _, f := range fields {
			if used := read[f]; used != (k.class == Honoured) {
				t.Errorf("%s is classed as %v; Resolved.%s is read outside of the package: %v", k.name, k.class, f, used)
			}
		}
	}
}

// Each keyword of class Reported is in a notice, and each of class Refused in an error.
func TestReportsAndRefusalsAreComplete(t *testing.T) {
	said := map[op]Class{
		opNoHostAuthenticationForLocalhost: Reported, opPermitLocalCommand: Reported, opLocalCommand: Reported,
		opRemoteForward: Reported, opProxyUseFdpass: Refused,
	}
	for _, k := range reports {
		said[k.op] = Reported
	}
	for _, k := range refusals {
		said[k.op] = Refused
	}
	for _, k := range keywordTable {
		if class, ok := said[k.op]; ok && class != k.class || !ok && (k.class == Reported || k.class == Refused) {
			t.Errorf("%s is of class %v; the code has it as %v (%v)", k.name, k.class, class, ok)
		}
	}
}

// fieldsRead returns the fields of *config.Resolved that the rest of the module selects from
// parameters and results of that type.
func fieldsRead(t *testing.T) map[string]bool {
	t.Helper()
	read := make(map[string]bool)
	err := filepath.WalkDir("../../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil || file.Name.Name == "config" {
			return err
		}
		for _, decl := range file.Decls {
			selections(decl, read)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !read["HostName"] {
		t.Fatal("nobody reads HostName: the search looks in the wrong place")
	}
	return read
}

// selections records the names that a function selects from its parameters of type
// *config.Resolved.
func selections(decl ast.Decl, read map[string]bool) {
	fn, ok := decl.(*ast.FuncDecl)
	if !ok || fn.Body == nil {
		return
	}
	resolved := make(map[string]bool)
	for _, field := range fn.Type.Params.List {
		star, ok := field.Type.(*ast.StarExpr)
		if !ok {
			continue
		}
		if sel, ok := star.X.(*ast.SelectorExpr); ok && sel.Sel.Name == "Resolved" {
			for _, name := range field.Names {
				resolved[name.Name] = true
			}
		}
	}
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			switch x := sel.X.(type) {
			case *ast.Ident:
				read[sel.Sel.Name] = read[sel.Sel.Name] || resolved[x.Name]
			case *ast.IndexExpr: // hops[last].User, from a result of Config.Route
				if id, ok := x.X.(*ast.Ident); ok && id.Name == "hops" {
					read[sel.Sel.Name] = true
				}
			}
		}
		return true
	})
}
