"""Operations on VPCs, subnets, interfaces and security groups."""
