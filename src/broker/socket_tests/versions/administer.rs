//! What administrators ask, in every version.

use jackfield_protocol::versions::Api;
use kafka_protocol::messages::{
    AlterConfigsRequest, AlterPartitionReassignmentsRequest, AlterReplicaLogDirsRequest, CreateAclsRequest,
    CreatePartitionsRequest, DeleteAclsRequest, DescribeAclsRequest, DescribeQuorumRequest,
    ElectLeadersRequest, IncrementalAlterConfigsRequest, ListConfigResourcesRequest, UpdateFeaturesRequest,
    create_acls_request::AclCreation, delete_acls_request::DeleteAclsFilter,
};

use super::Client;

/// One call in one version.
pub(super) async fn call(client: &mut Client, api: Api, version: i16) {
    match api {
        Api::CreatePartitions => {
            let request = CreatePartitionsRequest::default();
            assert!(client.call(version, &request).await.results.is_empty());
        }
        Api::AlterConfigs => {
            let request = AlterConfigsRequest::default();
            assert!(client.call(version, &request).await.responses.is_empty());
        }
        Api::IncrementalAlterConfigs => {
            let request = IncrementalAlterConfigsRequest::default();
            assert!(client.call(version, &request).await.responses.is_empty());
        }
        Api::ListConfigResources => {
            let response = client.call(version, &ListConfigResourcesRequest::default()).await;
            // There are no client metrics, which version 0 is about alone.
            assert_eq!(
                (response.error_code, response.config_resources.is_empty()),
                (0, version == 0)
            );
        }
        Api::ElectLeaders => {
            let request = ElectLeadersRequest::default().with_topic_partitions(None);
            let response = client.call(version, &request).await;
            assert!(response.replica_election_results[0].partition_result.is_empty());
        }
        Api::AlterPartitionReassignments => {
            let request = AlterPartitionReassignmentsRequest::default();
            assert_eq!(client.call(version, &request).await.error_code, 0);
        }
        Api::AlterReplicaLogDirs => {
            let request = AlterReplicaLogDirsRequest::default();
            assert!(client.call(version, &request).await.results.is_empty());
        }
        Api::DescribeAcls => {
            let response = client.call(version, &DescribeAclsRequest::default()).await;
            assert_eq!(response.error_code, 54);
        }
        Api::CreateAcls => {
            let creation = AclCreation::default().with_resource_pattern_type(3);
            let request = CreateAclsRequest::default().with_creations(vec![creation]);
            assert_eq!(client.call(version, &request).await.results[0].error_code, 54);
        }
        Api::DeleteAcls => {
            let filter = DeleteAclsFilter::default().with_pattern_type_filter(3);
            let request = DeleteAclsRequest::default().with_filters(vec![filter]);
            assert_eq!(
                client.call(version, &request).await.filter_results[0].error_code,
                54
            );
        }
        Api::DescribeQuorum => {
            let response = client.call(version, &DescribeQuorumRequest::default()).await;
            assert_eq!((response.error_code, response.topics.len()), (0, 0));
        }
        Api::UpdateFeatures => {
            let response = client.call(version, &UpdateFeaturesRequest::default()).await;
            assert_eq!((response.error_code, response.results.len()), (0, 0));
        }
        other => panic!("{other:?} is not called"),
    }
}
