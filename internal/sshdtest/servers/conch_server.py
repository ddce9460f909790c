"""A server on Twisted Conch that runs commands."""

import base64
import warnings

warnings.simplefilter("ignore")  # of ciphers that nobody asks for

from twisted.conch import avatar, checkers, interfaces
from twisted.conch.ssh import factory, keys, session, transport
from twisted.cred import portal
from twisted.internet import error, reactor
from twisted.python import components
from zope.interface import implementer

from common import argv, authorized, config, environment, failed, listening


@implementer(interfaces.ISession)
class Commands:
    def __init__(self, avatar):
        pass

    def execCommand(self, protocol, command):
        args = argv(command.decode())
        self.child = reactor.spawnProcess(protocol, args[0], args, environment)

    def eofReceived(self):
        self.child.closeStdin()

    def closed(self):
        pass  # what runs on is ended with the test


class User(avatar.ConchUser):
    def __init__(self):
        avatar.ConchUser.__init__(self)
        self.channelLookup[b"session"] = session.SSHSession


components.registerAdapter(Commands, User, interfaces.ISession)


@implementer(portal.IRealm)
class Realm:
    def requestAvatar(self, name, mind, *wanted):
        return interfaces.IConchUser, User(), lambda: None


@implementer(checkers.IAuthorizedKeysDB)
class Known:
    def getAuthorizedKeys(self, username):
        return [keys.Key.fromString(base64.b64decode(blob)) for _, blob in authorized()]


class Transport(transport.SSHServerTransport):
    def __init__(self):
        if config["kex"]:
            self.supportedKeyExchanges = [name.encode() for name in config["kex"]]
        if config["ciphers"]:
            self.supportedCiphers = [name.encode() for name in config["ciphers"]]
        if config["macs"]:
            self.supportedMACs = [name.encode() for name in config["macs"]]


class Factory(factory.SSHFactory):
    protocol = Transport

    def __init__(self):
        own = [keys.Key.fromFile(path) for path in config["host_keys"]]
        self.privateKeys = {key.sshType(): key for key in own}
        self.publicKeys = {key.sshType(): key.public() for key in own}
        self.portal = portal.Portal(Realm(), [checkers.SSHPublicKeyChecker(Known())])

    def getPrimes(self):
        return None  # no group exchange


try:
    reactor.listenTCP(config["port"], Factory(), interface=config["address"])
except error.CannotListenError as cannot:
    failed(cannot.socketError)
listening()
reactor.run()
