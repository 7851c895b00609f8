"""Contains all the data models used in inputs/outputs, each imported when it is asked for: a command needs a few."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .access_point import AccessPoint
    from .access_token import AccessToken
    from .api_token import ApiToken
    from .api_token_made import ApiTokenMade
    from .api_token_new import ApiTokenNew
    from .api_token_page import ApiTokenPage
    from .approval import Approval
    from .attached_client import AttachedClient
    from .behind_relay import BehindRelay
    from .bus_pass import BusPass
    from .change import Change
    from .change_page import ChangePage
    from .client_configuration import ClientConfiguration
    from .client_made import ClientMade
    from .client_made_labels import ClientMadeLabels
    from .client_new import ClientNew
    from .client_new_labels import ClientNewLabels
    from .client_patch import ClientPatch
    from .client_patch_labels import ClientPatchLabels
    from .credentials_answer import CredentialsAnswer
    from .credentials_renewal import CredentialsRenewal
    from .document_state import DocumentState
    from .encapsulation import Encapsulation
    from .end import End
    from .engine import Engine
    from .enrolled_network import EnrolledNetwork
    from .enrolled_relay import EnrolledRelay
    from .enrolment import Enrolment
    from .enrolment_answer import EnrolmentAnswer
    from .enrolment_labels import EnrolmentLabels
    from .family import Family
    from .health import Health
    from .health_report import HealthReport
    from .host_key import HostKey
    from .host_key_page import HostKeyPage
    from .host_key_use import HostKeyUse
    from .host_versions import HostVersions
    from .identity import Identity
    from .identity_page import IdentityPage
    from .identity_state import IdentityState
    from .identity_with_history import IdentityWithHistory
    from .join import Join
    from .join_answer import JoinAnswer
    from .join_labels import JoinLabels
    from .join_latencies import JoinLatencies
    from .join_token import JoinToken
    from .join_token_labels import JoinTokenLabels
    from .join_token_made import JoinTokenMade
    from .join_token_made_labels import JoinTokenMadeLabels
    from .join_token_new import JoinTokenNew
    from .join_token_new_labels import JoinTokenNewLabels
    from .join_token_page import JoinTokenPage
    from .kept_key import KeptKey
    from .key_change import KeyChange
    from .key_kind import KeyKind
    from .key_of_identity import KeyOfIdentity
    from .key_rotation import KeyRotation
    from .key_use import KeyUse
    from .key_wish import KeyWish
    from .keyd_key import KeydKey
    from .keyd_keys import KeydKeys
    from .latencies import Latencies
    from .latencies_latencies import LatenciesLatencies
    from .learned_route import LearnedRoute
    from .learned_route_page import LearnedRoutePage
    from .link import Link
    from .link_end import LinkEnd
    from .link_kind import LinkKind
    from .link_metrics import LinkMetrics
    from .link_page import LinkPage
    from .lock_change import LockChange
    from .lock_entry_new import LockEntryNew
    from .lock_entry_signed import LockEntrySigned
    from .lock_entry_signed_page import LockEntrySignedPage
    from .lock_host import LockHost
    from .lock_host_page import LockHostPage
    from .lock_key import LockKey
    from .lock_refusal import LockRefusal
    from .lock_signature import LockSignature
    from .lock_state import LockState
    from .lock_statement import LockStatement
    from .lock_statement_signed import LockStatementSigned
    from .lock_statement_signed_page import LockStatementSignedPage
    from .lock_statements_new import LockStatementsNew
    from .lock_taken import LockTaken
    from .mesh_rebuilt import MeshRebuilt
    from .mesh_relay import MeshRelay
    from .mesh_relay_page import MeshRelayPage
    from .network import Network
    from .network_client import NetworkClient
    from .network_client_labels import NetworkClientLabels
    from .network_client_page import NetworkClientPage
    from .network_new import NetworkNew
    from .network_page import NetworkPage
    from .network_patch import NetworkPatch
    from .network_path import NetworkPath
    from .network_settings import NetworkSettings
    from .network_settings_patch import NetworkSettingsPatch
    from .next_key import NextKey
    from .next_point import NextPoint
    from .on_silence import OnSilence
    from .operator_role import OperatorRole
    from .owner_kind import OwnerKind
    from .path_end import PathEnd
    from .path_hop import PathHop
    from .peer import Peer
    from .peer_kind import PeerKind
    from .peer_labels import PeerLabels
    from .peer_page import PeerPage
    from .peering import Peering
    from .peering_labels import PeeringLabels
    from .peering_new import PeeringNew
    from .peering_new_labels import PeeringNewLabels
    from .peering_page import PeeringPage
    from .peering_patch import PeeringPatch
    from .peering_patch_labels import PeeringPatchLabels
    from .peering_remark import PeeringRemark
    from .policy_wish import PolicyWish
    from .prefix_rule_in import PrefixRuleIn
    from .prefix_rule_out import PrefixRuleOut
    from .preshared_policy import PresharedPolicy
    from .problem import Problem
    from .problem_error import ProblemError
    from .problem_error_location_type_0 import ProblemErrorLocationType0
    from .protocol import Protocol
    from .ranked_relay import RankedRelay
    from .ranked_relay_parts import RankedRelayParts
    from .reason import Reason
    from .refused_route import RefusedRoute
    from .refused_route_page import RefusedRoutePage
    from .relay import Relay
    from .relay_labels import RelayLabels
    from .relay_metrics import RelayMetrics
    from .relay_page import RelayPage
    from .relay_patch import RelayPatch
    from .relay_patch_labels import RelayPatchLabels
    from .relay_ranking import RelayRanking
    from .relay_routes import RelayRoutes
    from .relay_routing import RelayRouting
    from .relay_sample import RelaySample
    from .relay_sessions import RelaySessions
    from .relay_state import RelayState
    from .relay_versions import RelayVersions
    from .revocation import Revocation
    from .revocation_kind import RevocationKind
    from .revocation_new import RevocationNew
    from .revocation_page import RevocationPage
    from .rotation import Rotation
    from .rotation_clients import RotationClients
    from .rotation_page import RotationPage
    from .rotation_phase import RotationPhase
    from .rotation_plan import RotationPlan
    from .rotation_plan_input import RotationPlanInput
    from .rotation_policy import RotationPolicy
    from .rotation_policy_page import RotationPolicyPage
    from .rotation_relay import RotationRelay
    from .rotation_start import RotationStart
    from .rotations_start import RotationsStart
    from .rotations_started import RotationsStarted
    from .route import Route
    from .route_next_hop import RouteNextHop
    from .service import Service
    from .service_health import ServiceHealth
    from .service_new import ServiceNew
    from .service_page import ServicePage
    from .service_patch import ServicePatch
    from .session import Session
    from .site import Site
    from .site_labels import SiteLabels
    from .site_new import SiteNew
    from .site_new_labels import SiteNewLabels
    from .site_page import SitePage
    from .site_patch import SitePatch
    from .site_patch_labels import SitePatchLabels
    from .standing import Standing
    from .token_kind import TokenKind
    from .wait_for import WaitFor
    from .wg_use import WgUse
    from .why import Why

_PLACES = {
    "AccessPoint": ".access_point",
    "AccessToken": ".access_token",
    "ApiToken": ".api_token",
    "ApiTokenMade": ".api_token_made",
    "ApiTokenNew": ".api_token_new",
    "ApiTokenPage": ".api_token_page",
    "Approval": ".approval",
    "AttachedClient": ".attached_client",
    "BehindRelay": ".behind_relay",
    "BusPass": ".bus_pass",
    "Change": ".change",
    "ChangePage": ".change_page",
    "ClientConfiguration": ".client_configuration",
    "ClientMade": ".client_made",
    "ClientMadeLabels": ".client_made_labels",
    "ClientNew": ".client_new",
    "ClientNewLabels": ".client_new_labels",
    "ClientPatch": ".client_patch",
    "ClientPatchLabels": ".client_patch_labels",
    "CredentialsAnswer": ".credentials_answer",
    "CredentialsRenewal": ".credentials_renewal",
    "DocumentState": ".document_state",
    "Encapsulation": ".encapsulation",
    "End": ".end",
    "Engine": ".engine",
    "EnrolledNetwork": ".enrolled_network",
    "EnrolledRelay": ".enrolled_relay",
    "Enrolment": ".enrolment",
    "EnrolmentAnswer": ".enrolment_answer",
    "EnrolmentLabels": ".enrolment_labels",
    "Family": ".family",
    "Health": ".health",
    "HealthReport": ".health_report",
    "HostKey": ".host_key",
    "HostKeyPage": ".host_key_page",
    "HostKeyUse": ".host_key_use",
    "HostVersions": ".host_versions",
    "Identity": ".identity",
    "IdentityPage": ".identity_page",
    "IdentityState": ".identity_state",
    "IdentityWithHistory": ".identity_with_history",
    "Join": ".join",
    "JoinAnswer": ".join_answer",
    "JoinLabels": ".join_labels",
    "JoinLatencies": ".join_latencies",
    "JoinToken": ".join_token",
    "JoinTokenLabels": ".join_token_labels",
    "JoinTokenMade": ".join_token_made",
    "JoinTokenMadeLabels": ".join_token_made_labels",
    "JoinTokenNew": ".join_token_new",
    "JoinTokenNewLabels": ".join_token_new_labels",
    "JoinTokenPage": ".join_token_page",
    "KeptKey": ".kept_key",
    "KeyChange": ".key_change",
    "KeyKind": ".key_kind",
    "KeyOfIdentity": ".key_of_identity",
    "KeyRotation": ".key_rotation",
    "KeyUse": ".key_use",
    "KeyWish": ".key_wish",
    "KeydKey": ".keyd_key",
    "KeydKeys": ".keyd_keys",
    "Latencies": ".latencies",
    "LatenciesLatencies": ".latencies_latencies",
    "LearnedRoute": ".learned_route",
    "LearnedRoutePage": ".learned_route_page",
    "Link": ".link",
    "LinkEnd": ".link_end",
    "LinkKind": ".link_kind",
    "LinkMetrics": ".link_metrics",
    "LinkPage": ".link_page",
    "LockChange": ".lock_change",
    "LockEntryNew": ".lock_entry_new",
    "LockEntrySigned": ".lock_entry_signed",
    "LockEntrySignedPage": ".lock_entry_signed_page",
    "LockHost": ".lock_host",
    "LockHostPage": ".lock_host_page",
    "LockKey": ".lock_key",
    "LockRefusal": ".lock_refusal",
    "LockSignature": ".lock_signature",
    "LockState": ".lock_state",
    "LockStatement": ".lock_statement",
    "LockStatementSigned": ".lock_statement_signed",
    "LockStatementSignedPage": ".lock_statement_signed_page",
    "LockStatementsNew": ".lock_statements_new",
    "LockTaken": ".lock_taken",
    "MeshRebuilt": ".mesh_rebuilt",
    "MeshRelay": ".mesh_relay",
    "MeshRelayPage": ".mesh_relay_page",
    "Network": ".network",
    "NetworkClient": ".network_client",
    "NetworkClientLabels": ".network_client_labels",
    "NetworkClientPage": ".network_client_page",
    "NetworkNew": ".network_new",
    "NetworkPage": ".network_page",
    "NetworkPatch": ".network_patch",
    "NetworkPath": ".network_path",
    "NetworkSettings": ".network_settings",
    "NetworkSettingsPatch": ".network_settings_patch",
    "NextKey": ".next_key",
    "NextPoint": ".next_point",
    "OnSilence": ".on_silence",
    "OperatorRole": ".operator_role",
    "OwnerKind": ".owner_kind",
    "PathEnd": ".path_end",
    "PathHop": ".path_hop",
    "Peer": ".peer",
    "PeerKind": ".peer_kind",
    "PeerLabels": ".peer_labels",
    "PeerPage": ".peer_page",
    "Peering": ".peering",
    "PeeringLabels": ".peering_labels",
    "PeeringNew": ".peering_new",
    "PeeringNewLabels": ".peering_new_labels",
    "PeeringPage": ".peering_page",
    "PeeringPatch": ".peering_patch",
    "PeeringPatchLabels": ".peering_patch_labels",
    "PeeringRemark": ".peering_remark",
    "PolicyWish": ".policy_wish",
    "PrefixRuleIn": ".prefix_rule_in",
    "PrefixRuleOut": ".prefix_rule_out",
    "PresharedPolicy": ".preshared_policy",
    "Problem": ".problem",
    "ProblemError": ".problem_error",
    "ProblemErrorLocationType0": ".problem_error_location_type_0",
    "Protocol": ".protocol",
    "RankedRelay": ".ranked_relay",
    "RankedRelayParts": ".ranked_relay_parts",
    "Reason": ".reason",
    "RefusedRoute": ".refused_route",
    "RefusedRoutePage": ".refused_route_page",
    "Relay": ".relay",
    "RelayLabels": ".relay_labels",
    "RelayMetrics": ".relay_metrics",
    "RelayPage": ".relay_page",
    "RelayPatch": ".relay_patch",
    "RelayPatchLabels": ".relay_patch_labels",
    "RelayRanking": ".relay_ranking",
    "RelayRoutes": ".relay_routes",
    "RelayRouting": ".relay_routing",
    "RelaySample": ".relay_sample",
    "RelaySessions": ".relay_sessions",
    "RelayState": ".relay_state",
    "RelayVersions": ".relay_versions",
    "Revocation": ".revocation",
    "RevocationKind": ".revocation_kind",
    "RevocationNew": ".revocation_new",
    "RevocationPage": ".revocation_page",
    "Rotation": ".rotation",
    "RotationClients": ".rotation_clients",
    "RotationPage": ".rotation_page",
    "RotationPhase": ".rotation_phase",
    "RotationPlan": ".rotation_plan",
    "RotationPlanInput": ".rotation_plan_input",
    "RotationPolicy": ".rotation_policy",
    "RotationPolicyPage": ".rotation_policy_page",
    "RotationRelay": ".rotation_relay",
    "RotationStart": ".rotation_start",
    "RotationsStart": ".rotations_start",
    "RotationsStarted": ".rotations_started",
    "Route": ".route",
    "RouteNextHop": ".route_next_hop",
    "Service": ".service",
    "ServiceHealth": ".service_health",
    "ServiceNew": ".service_new",
    "ServicePage": ".service_page",
    "ServicePatch": ".service_patch",
    "Session": ".session",
    "Site": ".site",
    "SiteLabels": ".site_labels",
    "SiteNew": ".site_new",
    "SiteNewLabels": ".site_new_labels",
    "SitePage": ".site_page",
    "SitePatch": ".site_patch",
    "SitePatchLabels": ".site_patch_labels",
    "Standing": ".standing",
    "TokenKind": ".token_kind",
    "WaitFor": ".wait_for",
    "WgUse": ".wg_use",
    "Why": ".why",
}

__all__ = (
    "AccessPoint",
    "AccessToken",
    "ApiToken",
    "ApiTokenMade",
    "ApiTokenNew",
    "ApiTokenPage",
    "Approval",
    "AttachedClient",
    "BehindRelay",
    "BusPass",
    "Change",
    "ChangePage",
    "ClientConfiguration",
    "ClientMade",
    "ClientMadeLabels",
    "ClientNew",
    "ClientNewLabels",
    "ClientPatch",
    "ClientPatchLabels",
    "CredentialsAnswer",
    "CredentialsRenewal",
    "DocumentState",
    "Encapsulation",
    "End",
    "Engine",
    "EnrolledNetwork",
    "EnrolledRelay",
    "Enrolment",
    "EnrolmentAnswer",
    "EnrolmentLabels",
    "Family",
    "Health",
    "HealthReport",
    "HostKey",
    "HostKeyPage",
    "HostKeyUse",
    "HostVersions",
    "Identity",
    "IdentityPage",
    "IdentityState",
    "IdentityWithHistory",
    "Join",
    "JoinAnswer",
    "JoinLabels",
    "JoinLatencies",
    "JoinToken",
    "JoinTokenLabels",
    "JoinTokenMade",
    "JoinTokenMadeLabels",
    "JoinTokenNew",
    "JoinTokenNewLabels",
    "JoinTokenPage",
    "KeptKey",
    "KeyChange",
    "KeydKey",
    "KeydKeys",
    "KeyKind",
    "KeyOfIdentity",
    "KeyRotation",
    "KeyUse",
    "KeyWish",
    "Latencies",
    "LatenciesLatencies",
    "LearnedRoute",
    "LearnedRoutePage",
    "Link",
    "LinkEnd",
    "LinkKind",
    "LinkMetrics",
    "LinkPage",
    "LockChange",
    "LockEntryNew",
    "LockEntrySigned",
    "LockEntrySignedPage",
    "LockHost",
    "LockHostPage",
    "LockKey",
    "LockRefusal",
    "LockSignature",
    "LockState",
    "LockStatement",
    "LockStatementSigned",
    "LockStatementSignedPage",
    "LockStatementsNew",
    "LockTaken",
    "MeshRebuilt",
    "MeshRelay",
    "MeshRelayPage",
    "Network",
    "NetworkClient",
    "NetworkClientLabels",
    "NetworkClientPage",
    "NetworkNew",
    "NetworkPage",
    "NetworkPatch",
    "NetworkPath",
    "NetworkSettings",
    "NetworkSettingsPatch",
    "NextKey",
    "NextPoint",
    "OnSilence",
    "OperatorRole",
    "OwnerKind",
    "PathEnd",
    "PathHop",
    "Peer",
    "Peering",
    "PeeringLabels",
    "PeeringNew",
    "PeeringNewLabels",
    "PeeringPage",
    "PeeringPatch",
    "PeeringPatchLabels",
    "PeeringRemark",
    "PeerKind",
    "PeerLabels",
    "PeerPage",
    "PolicyWish",
    "PrefixRuleIn",
    "PrefixRuleOut",
    "PresharedPolicy",
    "Problem",
    "ProblemError",
    "ProblemErrorLocationType0",
    "Protocol",
    "RankedRelay",
    "RankedRelayParts",
    "Reason",
    "RefusedRoute",
    "RefusedRoutePage",
    "Relay",
    "RelayLabels",
    "RelayMetrics",
    "RelayPage",
    "RelayPatch",
    "RelayPatchLabels",
    "RelayRanking",
    "RelayRoutes",
    "RelayRouting",
    "RelaySample",
    "RelaySessions",
    "RelayState",
    "RelayVersions",
    "Revocation",
    "RevocationKind",
    "RevocationNew",
    "RevocationPage",
    "Rotation",
    "RotationClients",
    "RotationPage",
    "RotationPhase",
    "RotationPlan",
    "RotationPlanInput",
    "RotationPolicy",
    "RotationPolicyPage",
    "RotationRelay",
    "RotationsStart",
    "RotationsStarted",
    "RotationStart",
    "Route",
    "RouteNextHop",
    "Service",
    "ServiceHealth",
    "ServiceNew",
    "ServicePage",
    "ServicePatch",
    "Session",
    "Site",
    "SiteLabels",
    "SiteNew",
    "SiteNewLabels",
    "SitePage",
    "SitePatch",
    "SitePatchLabels",
    "Standing",
    "TokenKind",
    "WaitFor",
    "WgUse",
    "Why",
)


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_PLACES[name], __name__), name)
    return found
